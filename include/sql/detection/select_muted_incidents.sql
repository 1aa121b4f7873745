-- Read the incidents of which something was not told for a reason; cleared ones too.
-- parameters: muted_by
-- columns: as in incidents
SELECT series, opened_at, kind, last_anomalous, calm_since, closed_at, severity, windows, flares, model_version,
       peak_window, peak_score, peak_extrapolated, peak_observed, peak_expected, alerted, told_worse,
       told_reminders, told_closings, told_corrections, told_goes_on, told_at, told_score, muted_by, cleared_at
FROM incidents
WHERE muted_by = %(muted_by)s
ORDER BY series, opened_at
