-- Read who holds the release lease of an endpoint.
-- parameters: endpoint
-- columns: holder; expires_at; expired, 1 when nobody holds it any more
SELECT holder, expires_at, expires_at <= UTC_TIMESTAMP(6) AS expired
FROM release_leases
WHERE endpoint = %(endpoint)s
