-- Read which windows of each series are known: they end at or below its watermark, and at or below the time
-- it retired, if it did.
-- parameters: none
-- columns: series; first_window; known_until, no known window ends after it
SELECT series, first_window, LEAST(watermark, COALESCE(retired_at, watermark)) AS known_until
FROM series
ORDER BY series
