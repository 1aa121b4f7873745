-- Count the events of some windows and return those that differ from what was counted before.
-- The subquery looks each window up by equality, so that only its own partition is read.
-- parameters: windows (JSON rows: series, window_start)
-- columns: series, window_start, observed
SELECT n.series, n.window_start, n.observed
FROM (
  SELECT d.series, d.window_start,
         (SELECT COUNT(*) FROM events AS e
          WHERE e.series = d.series AND e.window_start = d.window_start) AS observed
  FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]'
)) AS d
) AS n
LEFT JOIN window_counts AS c ON c.series = n.series AND c.window_start = n.window_start
WHERE c.observed IS NULL OR c.observed <> n.observed
