-- Read what the login may do.
-- columns: grant
SHOW GRANTS
