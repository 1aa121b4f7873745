-- Read the counts at some distances before each of some windows.
-- parameters: windows (JSON rows: place, series, window_start), offsets (JSON rows:
--   windows back, whether a count that was judged anomalous is replaced by the usual one)
-- columns: place, counts (joined by commas in the order of the offsets; empty where there is none)
SELECT n.place, GROUP_CONCAT(COALESCE(IF(o.as_usual, c.usual, NULL), c.observed, '') ORDER BY o.position)
FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  place INT PATH '$[0]',
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]',
  window_start DATETIME PATH '$[2]'
)) AS n
STRAIGHT_JOIN JSON_TABLE(%(offsets)s, '$[*]' COLUMNS (
  position FOR ORDINALITY,
  windows_back INT PATH '$[0]',
  as_usual TINYINT PATH '$[1]'
)) AS o
LEFT JOIN window_counts AS c
  ON c.series = n.series AND c.window_start = n.window_start - INTERVAL (o.windows_back * 300) SECOND
GROUP BY n.place
