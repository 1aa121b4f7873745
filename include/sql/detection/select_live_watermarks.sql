-- Read up to when each source is complete, by those of its series that are live.
-- columns: source, watermark
SELECT source, MAX(watermark)
FROM series
WHERE retired_at IS NULL AND live_from <= watermark
GROUP BY source
