-- Keep beside the counts what was expected, and what an anomalous one counts as, unless they changed meanwhile.
-- parameters: windows (JSON rows: series, window_start, revision, expected, usual or null)
UPDATE JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]',
  revision INT PATH '$[2]',
  expected DOUBLE PATH '$[3]',
  usual INT UNSIGNED PATH '$[4]'
)) AS n
STRAIGHT_JOIN window_counts AS c
  ON c.series = n.series AND c.window_start = n.window_start AND c.revision = n.revision
SET c.expected = n.expected, c.usual = n.usual
