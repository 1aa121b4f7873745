-- Read the verdicts on a series in [start, end); of several on one window the one that holds comes last.
-- parameters: series, start, end
-- columns: series, window_start, revision, model_version, observed, expected, lower_bound, upper_bound,
--   score, extrapolated, verdict
SELECT series, window_start, revision, model_version, observed, expected, lower_bound, upper_bound, score,
       extrapolated, verdict
FROM predictions
WHERE series = %(series)s AND window_start >= %(start)s AND window_start < %(end)s
ORDER BY window_start, revision, judged_at
