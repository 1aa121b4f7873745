-- Read the incidents of a series' history that reach into [start, end], in order.
-- parameters: series, start, end, history_end
-- columns: as in incidents
SELECT series, opened_at, kind, last_anomalous, calm_since, closed_at, severity, windows, flares, model_version,
       peak_window, peak_score, peak_extrapolated, peak_observed, peak_expected, alerted, told_worse,
       told_reminders, told_closings, told_corrections, told_goes_on, told_at, told_score, muted_by, cleared_at
FROM incidents
WHERE series = %(series)s AND kind IN ('high', 'low')
  AND opened_at <= %(end)s AND opened_at < %(history_end)s AND last_anomalous >= %(start)s
ORDER BY opened_at
