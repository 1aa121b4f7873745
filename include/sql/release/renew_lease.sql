-- Push back the end of a lease that one still holds.
-- parameters: endpoint, holder, seconds until it expires
-- columns: none; one row is changed, or none when the lease is lost
UPDATE release_leases
SET expires_at = UTC_TIMESTAMP(6) + INTERVAL %(seconds)s SECOND
WHERE endpoint = %(endpoint)s AND holder = %(holder)s AND expires_at > UTC_TIMESTAMP(6)
