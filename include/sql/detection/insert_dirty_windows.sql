-- Mark windows for a recount, and lock the marks until the transaction ends.
-- parameters: windows (JSON rows: series, window_start)
INSERT INTO dirty_windows (series, window_start)
SELECT n.series, n.window_start
FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS n
ON DUPLICATE KEY UPDATE dirty_windows.series = dirty_windows.series
