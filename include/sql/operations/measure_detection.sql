-- Measure how far detection is behind.
-- Series of a source that people know to be silent are left out, unless all are: they hide nothing of others.
-- parameters: sources (list of names)
-- columns: judged_until (of the live series that is behind most; NULL without one), unsent_since (NULL without
--   an alert that waits), dirty_windows
SELECT
  (
    SELECT COALESCE(MIN(IF(i.series IS NULL, s.judged_until, NULL)), MIN(s.judged_until))
    FROM series AS s
    LEFT JOIN incidents AS i ON i.series = s.source AND i.kind = 'silent_source' AND i.closed_at IS NULL
    WHERE s.source IN %(sources)s AND s.retired_at IS NULL AND s.live_from <= s.watermark
  ) AS judged_until,
  (
    SELECT a.created_at FROM alerts AS a WHERE a.published_at IS NULL ORDER BY a.alert_id LIMIT 1
  ) AS unsent_since,
  (SELECT COUNT(*) FROM dirty_windows) AS dirty_windows
