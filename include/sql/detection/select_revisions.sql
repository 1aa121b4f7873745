-- Read the revisions of some windows.
-- parameters: windows (JSON rows: series, window_start)
-- columns: series, window_start, revision
SELECT c.series, c.window_start, c.revision
FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS n
STRAIGHT_JOIN window_counts AS c ON c.series = n.series AND c.window_start = n.window_start
