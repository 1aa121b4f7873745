-- Take the release lease of an endpoint if nobody holds it, its holder has let it expire, or it is one's own.
-- The clock is the database's. The holder is set first: the second assignment sees what the first one did.
-- parameters: endpoint, holder, seconds until it expires
-- columns: none; select_lease tells who holds it now
INSERT INTO release_leases (endpoint, holder, expires_at)
VALUES (%(endpoint)s, %(holder)s, UTC_TIMESTAMP(6) + INTERVAL %(seconds)s SECOND)
ON DUPLICATE KEY UPDATE
  holder = IF(holder = %(holder)s OR expires_at <= UTC_TIMESTAMP(6), %(holder)s, holder),
  expires_at = IF(
    holder = %(holder)s, UTC_TIMESTAMP(6) + INTERVAL %(seconds)s SECOND, expires_at
  )
