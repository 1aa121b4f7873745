-- Read the windows that are due, the oldest first: marked, complete, closed, and with nothing to recount up
-- to them.
-- parameters: newest (start of the newest window that is closed), limit
-- columns: series, window_start, observed, revision
SELECT u.series, u.window_start, c.observed, c.revision
FROM unjudged_windows AS u
JOIN series AS s ON s.series = u.series AND u.window_start < s.counted_until
JOIN window_counts AS c ON c.series = u.series AND c.window_start = u.window_start
WHERE u.window_start <= %(newest)s
  AND NOT EXISTS (
    SELECT 1 FROM dirty_windows AS d WHERE d.series = u.series AND d.window_start <= u.window_start
  )
ORDER BY u.window_start, u.series
LIMIT %(limit)s
