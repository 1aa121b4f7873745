-- Read the server's clock.
-- columns: now (UTC)
SELECT UTC_TIMESTAMP(6)
