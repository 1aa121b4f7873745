-- Read the open incidents of some series that began in live windows.
-- parameters: series (JSON rows: series)
-- columns: as in incidents
SELECT i.series, i.opened_at, i.last_anomalous, i.closed_at, i.kind, i.windows, i.peak_window, i.peak_score,
       i.model_version, i.alerted
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
STRAIGHT_JOIN incidents AS i ON i.closed_at IS NULL AND i.series = s.series AND i.opened_at >= s.live_from
WHERE i.kind IN ('high', 'low')
