-- Read the series of which all of the day [start, end) is counted, and that have no statistics for the day behind it.
-- parameters: start, end, anew (whether to take those too that have statistics)
-- columns: series
SELECT s.series
FROM series AS s
WHERE s.first_window <= %(start)s AND s.counted_until >= %(end)s
  AND (%(anew)s OR NOT EXISTS (
    SELECT 1 FROM series_statistics AS t WHERE t.series = s.series AND t.day = %(end)s
  ))
ORDER BY s.series
