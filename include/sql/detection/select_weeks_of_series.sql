-- Read the windows of some series in [first, end), each series as three texts.
-- parameters: series (JSON rows: series), first, end
-- columns: series, positions (windows after the first), observed, expected (nan where nobody judged); each of the
--   three joined by commas in the order of the windows
SELECT
  n.series,
  GROUP_CONCAT(TIMESTAMPDIFF(SECOND, %(first)s, c.window_start) DIV 300 ORDER BY c.window_start),
  GROUP_CONCAT(c.observed ORDER BY c.window_start),
  GROUP_CONCAT(COALESCE(c.expected, 'nan') ORDER BY c.window_start)
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN window_counts AS c
  ON c.series = n.series AND c.window_start >= %(first)s AND c.window_start < %(end)s
GROUP BY n.series
