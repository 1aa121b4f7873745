-- Read the windows of some series from some window on: their counts, and what was expected of them.
-- parameters: series (JSON rows: place, series, first, end: window starts in [first, end))
-- columns: place, positions (windows after the first), observed, expected (nan where nobody judged); each of
--   the three joined by commas in the order of the windows
SELECT
  n.place,
  GROUP_CONCAT(TIMESTAMPDIFF(SECOND, n.first_window, c.window_start) DIV 300 ORDER BY c.window_start),
  GROUP_CONCAT(c.observed ORDER BY c.window_start),
  GROUP_CONCAT(COALESCE(c.expected, 'nan') ORDER BY c.window_start)
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  place INT PATH '$[0]',
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]',
  first_window DATETIME PATH '$[2]',
  end_window DATETIME PATH '$[3]'
)) AS n
STRAIGHT_JOIN window_counts AS c
  ON c.series = n.series AND c.window_start >= n.first_window AND c.window_start < n.end_window
GROUP BY n.place
