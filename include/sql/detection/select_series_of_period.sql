-- Read the series that have counted windows in [start, end), and where the history of each ends.
-- parameters: start, end
-- columns: series, history_end
SELECT series, LEAST(live_from, COALESCE(retired_at, live_from))
FROM series
WHERE first_window < %(end)s AND counted_until > %(start)s
ORDER BY series
