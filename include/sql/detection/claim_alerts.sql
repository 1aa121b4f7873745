-- Claim the next few alerts that wait in the outbox; what another relay holds is passed over.
-- parameters: after (alert_id), limit
-- columns: alert_id, identity, subject, title, body, attributes (JSON)
SELECT alert_id, identity, subject, title, body, attributes
FROM alerts
WHERE published_at IS NULL AND alert_id > %(after)s
ORDER BY alert_id
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
