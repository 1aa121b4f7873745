-- Remove the marks of windows that were recounted.
-- parameters: windows (JSON rows: series, window_start)
DELETE m
FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS d
STRAIGHT_JOIN dirty_windows AS m ON m.series = d.series AND m.window_start = d.window_start
