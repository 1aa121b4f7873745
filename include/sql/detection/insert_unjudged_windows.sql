-- Mark windows for judging, as far as their series are live there.
-- parameters: windows (JSON rows: series, window_start)
INSERT INTO unjudged_windows (series, window_start)
SELECT n.series, n.window_start
FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
WHERE n.window_start >= s.live_from
ON DUPLICATE KEY UPDATE unjudged_windows.series = unjudged_windows.series
