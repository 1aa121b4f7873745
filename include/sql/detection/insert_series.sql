-- Insert new series; of known ones move the watermark forward, the first window back, and keep the end.
-- A series of another source is taken over: what lies between the windows that are counted and the first
-- that the new source gives stays unknown, its end is what the new source says, and a series that was history
-- is judged from now on. The assignments are made in their order.
-- parameters: source, series (JSON rows: series, first_window, watermark, retired_at, live_from, begins, too_late)
INSERT INTO series (
  series, source, first_window, watermark, retired_at, live_from, counted_until, judged_until, too_late_events
)
SELECT n.series, %(source)s, n.first_window, n.watermark, n.retired_at, n.live_from, n.first_window,
       n.live_from, n.too_late
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  first_window DATETIME PATH '$[1]',
  watermark DATETIME(6) PATH '$[2]',
  retired_at DATETIME(6) PATH '$[3]',
  live_from DATETIME PATH '$[4]',
  begins DATETIME PATH '$[5]',
  too_late BIGINT PATH '$[6]'
)) AS n
ON DUPLICATE KEY UPDATE
  series.counted_until = CASE
    WHEN n.first_window < series.first_window THEN n.first_window
    WHEN series.source <> %(source)s THEN GREATEST(series.counted_until, n.begins)
    ELSE series.counted_until
  END,
  series.first_window = LEAST(series.first_window, n.first_window),
  series.watermark = GREATEST(series.watermark, n.watermark),
  series.retired_at = IF(series.source <> %(source)s, n.retired_at, COALESCE(n.retired_at, series.retired_at)),
  series.judged_until = IF(
    series.source <> %(source)s AND series.judged_until = series.live_from,
    LEAST(series.judged_until, n.live_from),
    series.judged_until
  ),
  series.live_from = LEAST(series.live_from, series.judged_until),
  series.too_late_events = series.too_late_events + n.too_late,
  series.source = %(source)s
