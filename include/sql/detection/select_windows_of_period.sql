-- Read the windows of some series that start in [start, end), but for those that wait for a recount or for
-- the live judge.
-- parameters: series (JSON rows: series), start, end, judged_too (whether to judge anew what has a verdict)
-- columns: series, window_start, observed, revision
SELECT c.series, c.window_start, c.observed, c.revision
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
STRAIGHT_JOIN window_counts AS c ON c.series = s.series
  AND c.window_start >= %(start)s AND c.window_start < %(end)s AND c.window_start < s.counted_until
WHERE NOT EXISTS (
    SELECT 1 FROM unjudged_windows AS u WHERE u.series = c.series AND u.window_start = c.window_start
  )
  AND NOT EXISTS (
    SELECT 1 FROM dirty_windows AS d WHERE d.series = c.series AND d.window_start = c.window_start
  )
  AND (%(judged_too)s OR NOT EXISTS (
    SELECT 1 FROM predictions AS p
    WHERE p.series = c.series AND p.window_start = c.window_start AND p.revision = c.revision
  ))
ORDER BY c.series, c.window_start
