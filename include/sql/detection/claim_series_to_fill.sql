-- Claim the next few series that have windows between what is counted and what is complete.
-- parameters: after, limit
-- columns: series, counted_until, end (of what is complete: watermark or end of the series)
SELECT series, counted_until, LEAST(watermark, COALESCE(retired_at, watermark))
FROM series
WHERE series > %(after)s
  AND counted_until + INTERVAL 300 SECOND <= LEAST(watermark, COALESCE(retired_at, watermark))
ORDER BY series
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
