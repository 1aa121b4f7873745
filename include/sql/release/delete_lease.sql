-- Give back a lease; one that somebody else holds by now stays.
-- parameters: endpoint, holder
-- columns: none
DELETE FROM release_leases
WHERE endpoint = %(endpoint)s AND holder = %(holder)s
