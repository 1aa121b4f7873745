-- Insert new series; of known ones move the watermark forward, the first window back, and keep the end.
-- parameters: source, series (JSON rows: series, first_window, watermark, retired_at, live_from, too_late)
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
  too_late BIGINT PATH '$[5]'
)) AS n
ON DUPLICATE KEY UPDATE
  series.counted_until = IF(n.first_window < series.first_window, n.first_window, series.counted_until),
  series.first_window = LEAST(series.first_window, n.first_window),
  series.watermark = GREATEST(series.watermark, n.watermark),
  series.retired_at = COALESCE(n.retired_at, series.retired_at),
  series.too_late_events = series.too_late_events + n.too_late
