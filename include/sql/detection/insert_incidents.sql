-- Insert incidents, or bring them up to date.
-- parameters: series, opened_at, last_anomalous, closed_at, kind, windows, peak_window, peak_score, model_version, alerted
INSERT INTO incidents (
  series, opened_at, last_anomalous, closed_at, kind, windows, peak_window, peak_score, model_version, alerted
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON DUPLICATE KEY UPDATE
  last_anomalous = VALUES(last_anomalous), closed_at = VALUES(closed_at), windows = VALUES(windows),
  peak_window = VALUES(peak_window), peak_score = VALUES(peak_score), model_version = VALUES(model_version),
  alerted = VALUES(alerted)
