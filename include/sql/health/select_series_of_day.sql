-- Read the series that have counted windows in a day.
-- parameters: start, end
-- columns: series
SELECT series
FROM series
WHERE first_window < %(end)s AND counted_until > %(start)s
ORDER BY series
