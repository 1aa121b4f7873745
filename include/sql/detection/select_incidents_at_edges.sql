-- Read the incidents of a series' history that lie in a period or touch its edges.
-- parameters: series, end, before (the window before the period), history_end
-- columns: as in incidents
SELECT series, opened_at, last_anomalous, closed_at, kind, windows, peak_window, peak_score, model_version,
       alerted
FROM incidents
WHERE series = %(series)s AND kind IN ('high', 'low')
  AND opened_at <= %(end)s AND opened_at < %(history_end)s AND last_anomalous >= %(before)s
