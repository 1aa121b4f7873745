-- Keep up to where each series was judged.
-- parameters: series (JSON rows: series, window_start)
UPDATE JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
SET s.judged_until = n.window_start
