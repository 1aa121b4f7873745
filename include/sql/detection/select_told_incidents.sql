-- Read the incidents that people believe to go on and were last told of at a window in [start, end].
-- parameters: start, end
-- columns: as in incidents
SELECT series, opened_at, kind, last_anomalous, calm_since, closed_at, severity, windows, flares, model_version,
       peak_window, peak_score, peak_extrapolated, peak_observed, peak_expected, alerted, told_worse,
       told_reminders, told_closings, told_corrections, told_goes_on, told_at, told_score, muted_by, cleared_at
FROM incidents
WHERE told_at >= %(start)s AND told_at <= %(end)s AND told_goes_on AND cleared_at IS NULL
  AND kind IN ('high', 'low')
ORDER BY told_at, series
