-- Read the incidents of a series that reach into [start, end] and opened in [opened_from, opened_before), in
-- order; cleared ones too.
-- parameters: series, start, end, opened_from, opened_before
-- columns: as in incidents
SELECT series, opened_at, kind, last_anomalous, calm_since, closed_at, severity, windows, flares, model_version,
       peak_window, peak_score, peak_extrapolated, peak_observed, peak_expected, alerted, told_worse,
       told_reminders, told_closings, told_corrections, told_goes_on, told_at, told_score, muted_by, cleared_at
FROM incidents
WHERE series = %(series)s AND kind IN ('high', 'low')
  AND opened_at >= %(opened_from)s AND opened_at < %(opened_before)s
  AND opened_at <= %(end)s AND last_anomalous >= %(start)s
ORDER BY opened_at
