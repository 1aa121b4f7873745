-- Read the series that have counted windows in [start, end), and no statistics for the day behind it.
-- parameters: start, end, anew (whether to take those too that have statistics)
-- columns: series
SELECT s.series
FROM series AS s
WHERE s.first_window < %(end)s AND s.counted_until > %(start)s
  AND (%(anew)s OR NOT EXISTS (
    SELECT 1 FROM series_statistics AS t WHERE t.series = s.series AND t.day = %(end)s
  ))
ORDER BY s.series
