-- Lock those of some alerts that are still in the outbox; what a relay publishes just now is waited for.
-- MySQL refuses to lock rows beside a JSON_TABLE (error 3569), unless that lies in a table of its own.
-- parameters: identities (JSON rows: identity)
-- columns: alert_id, identity
SELECT a.alert_id, a.identity
FROM (
  SELECT j.identity
  FROM JSON_TABLE(%(identities)s, '$[*]' COLUMNS (
    identity VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
  )) AS j
) AS n
STRAIGHT_JOIN alerts AS a ON a.identity = n.identity
WHERE a.published_at IS NULL
FOR UPDATE
