-- Read the open incidents of silent sources.
-- columns: as in incidents
SELECT series, opened_at, last_anomalous, closed_at, kind, windows, peak_window, peak_score, model_version,
       alerted
FROM incidents
WHERE closed_at IS NULL AND kind = 'silent_source'
