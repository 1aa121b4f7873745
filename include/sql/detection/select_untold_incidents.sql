-- Read of some series the incidents in live windows of whose end people were not told, in order: those that
-- are closed and believed to go on, and those that a recount cleared and nobody took back.
-- parameters: series (JSON rows: series)
-- columns: as in incidents
SELECT i.series, i.opened_at, i.kind, i.last_anomalous, i.calm_since, i.closed_at, i.severity, i.windows,
       i.flares, i.model_version, i.peak_window, i.peak_score, i.peak_extrapolated, i.peak_observed,
       i.peak_expected, i.alerted, i.told_worse, i.told_reminders, i.told_closings, i.told_corrections,
       i.told_goes_on, i.told_at, i.told_score, i.muted_by, i.cleared_at
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
STRAIGHT_JOIN incidents AS i ON i.series = s.series AND i.opened_at >= s.live_from
WHERE i.kind IN ('high', 'low')
  AND (
    (i.cleared_at IS NULL AND i.closed_at IS NOT NULL AND i.told_goes_on)
    OR (i.cleared_at IS NOT NULL AND i.alerted > i.told_corrections)
  )
ORDER BY i.series, i.opened_at
