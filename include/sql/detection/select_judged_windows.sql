-- Read the windows of some series in [first, end): their counts, and what was expected of them.
-- parameters: series (list of names: each is a range of the key, which no column of another table would be),
--   first, end
-- columns: series, windows (a line of CSV of each: its position, which is its distance from the first; observed;
--   expected, nothing where nobody judged). Their order is not asked for: it takes most of the time.
SELECT
  c.series,
  GROUP_CONCAT(
    TIMESTAMPDIFF(SECOND, %(first)s, c.window_start) DIV 300, ',', c.observed, ',', COALESCE(c.expected, '')
    SEPARATOR '\n'
  )
FROM window_counts AS c
WHERE c.series IN %(series)s AND c.window_start >= %(first)s AND c.window_start < %(end)s
GROUP BY c.series
