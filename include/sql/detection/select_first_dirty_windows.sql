-- Find the first window of each series, from a start on, that waits to be recounted.
-- parameters: series (JSON rows: series, window_start)
-- columns: series, window_start
SELECT n.series, MIN(d.window_start)
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS n
STRAIGHT_JOIN dirty_windows AS d ON d.series = n.series AND d.window_start >= n.window_start
GROUP BY n.series
