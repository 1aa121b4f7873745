-- Read the counts of a series in [start, end).
-- parameters: series, start, end
-- columns: window_start, observed, usual (observed, but for windows that were judged anomalous)
SELECT window_start, observed, COALESCE(usual, observed)
FROM window_counts
WHERE series = %(series)s AND window_start >= %(start)s AND window_start < %(end)s
