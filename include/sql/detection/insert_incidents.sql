-- Insert incidents, or bring them up to date.
-- parameters: as in incidents, in the order below
INSERT INTO incidents (
  series, opened_at, kind, last_anomalous, calm_since, closed_at, severity, windows, flares, model_version,
  peak_window, peak_score, peak_extrapolated, peak_observed, peak_expected, alerted, told_worse,
  told_reminders, told_closings, told_corrections, told_goes_on, told_at, told_score, muted_by, cleared_at
)
VALUES (
  %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
)
ON DUPLICATE KEY UPDATE
  last_anomalous = VALUES(last_anomalous), calm_since = VALUES(calm_since), closed_at = VALUES(closed_at),
  severity = VALUES(severity), windows = VALUES(windows), flares = VALUES(flares),
  model_version = VALUES(model_version), peak_window = VALUES(peak_window), peak_score = VALUES(peak_score),
  peak_extrapolated = VALUES(peak_extrapolated), peak_observed = VALUES(peak_observed),
  peak_expected = VALUES(peak_expected), alerted = VALUES(alerted), told_worse = VALUES(told_worse),
  told_reminders = VALUES(told_reminders), told_closings = VALUES(told_closings),
  told_corrections = VALUES(told_corrections), told_goes_on = VALUES(told_goes_on), told_at = VALUES(told_at),
  told_score = VALUES(told_score), muted_by = VALUES(muted_by), cleared_at = VALUES(cleared_at)
