-- Read the windows of some series in [first, end), each series as one text.
-- parameters: series (JSON rows: series), first, end
-- columns: series, windows (of each its position, which is its distance from the first; observed; expected, nan
--   where nobody judged; all of them joined by commas). Their order is not asked for: it takes most of the time.
SELECT
  n.series,
  GROUP_CONCAT(
    TIMESTAMPDIFF(SECOND, %(first)s, c.window_start) DIV 300, ',', c.observed, ',', COALESCE(c.expected, 'nan')
  )
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN window_counts AS c
  ON c.series = n.series AND c.window_start >= %(first)s AND c.window_start < %(end)s
GROUP BY n.series
