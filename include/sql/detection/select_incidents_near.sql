-- Read of some series the incidents in live windows that reach into a period each, or that are open, in order;
-- cleared ones too.
-- parameters: periods (JSON rows: series, start, end)
-- columns: as in incidents
SELECT i.series, i.opened_at, i.kind, i.last_anomalous, i.calm_since, i.closed_at, i.severity, i.windows,
       i.flares, i.model_version, i.peak_window, i.peak_score, i.peak_extrapolated, i.peak_observed,
       i.peak_expected, i.alerted, i.told_worse, i.told_reminders, i.told_closings, i.told_corrections,
       i.told_goes_on, i.told_at, i.told_score, i.muted_by, i.cleared_at
FROM JSON_TABLE(%(periods)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  start DATETIME PATH '$[1]',
  until DATETIME PATH '$[2]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
STRAIGHT_JOIN incidents AS i ON i.series = s.series AND i.opened_at >= s.live_from AND i.opened_at <= n.until
  AND (i.last_anomalous >= n.start OR i.closed_at IS NULL)
WHERE i.kind IN ('high', 'low')
ORDER BY i.series, i.opened_at
