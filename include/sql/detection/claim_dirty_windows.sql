-- Claim windows to recount; what another collector or an ingest under way holds is passed over.
-- parameters: limit
-- columns: series, window_start
SELECT series, window_start
FROM dirty_windows
ORDER BY series, window_start
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
