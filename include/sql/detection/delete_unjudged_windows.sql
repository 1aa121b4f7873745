-- Remove the marks of windows that were judged.
-- parameters: windows (JSON rows: series, window_start)
DELETE m
FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS n
STRAIGHT_JOIN unjudged_windows AS m ON m.series = n.series AND m.window_start = n.window_start
