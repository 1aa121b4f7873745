-- Read the mass outages that go on or were told to end after a window, in order.
-- parameters: since
-- columns: as in incidents
SELECT series, opened_at, kind, last_anomalous, calm_since, closed_at, severity, windows, flares, model_version,
       peak_window, peak_score, peak_extrapolated, peak_observed, peak_expected, alerted, told_worse,
       told_reminders, told_closings, told_corrections, told_goes_on, told_at, told_score, muted_by, cleared_at
FROM incidents
WHERE series = 'group' AND kind = 'mass' AND cleared_at IS NULL AND (closed_at IS NULL OR told_at > %(since)s)
ORDER BY opened_at
