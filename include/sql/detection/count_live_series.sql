-- Count the series that are live.
-- columns: count
SELECT COUNT(*) FROM series WHERE retired_at IS NULL AND live_from <= watermark
