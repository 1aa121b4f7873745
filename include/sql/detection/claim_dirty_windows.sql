-- Claim windows to recount; what another collector or an ingest under way holds is passed over.
-- parameters: oldest, limit
-- columns: series, window_start
SELECT series, window_start
FROM dirty_windows
WHERE window_start >= %(oldest)s
ORDER BY series, window_start
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
