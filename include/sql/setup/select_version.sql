-- Read what the server is.
-- columns: version
SELECT VERSION()
