-- Read the windows of some series from some window on, each by its key: a range of another table's columns would
-- read all that a series ever counted.
-- parameters: series (JSON rows: place, series, first window, how many windows), positions (JSON rows: 0, 1, 2 and
--   so on, as many as the longest of them has windows)
-- columns: place, windows (of each its position; observed; expected, nan where nobody judged; all of them joined
--   by commas, in no order)
SELECT
  n.place,
  GROUP_CONCAT(p.position, ',', c.observed, ',', COALESCE(c.expected, 'nan'))
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  place INT PATH '$[0]',
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]',
  first_window DATETIME PATH '$[2]',
  windows INT PATH '$[3]'
)) AS n
STRAIGHT_JOIN JSON_TABLE(%(positions)s, '$[*]' COLUMNS (position INT PATH '$[0]')) AS p ON p.position < n.windows
STRAIGHT_JOIN window_counts AS c
  ON c.series = n.series AND c.window_start = n.first_window + INTERVAL (p.position * 300) SECOND
GROUP BY n.place
