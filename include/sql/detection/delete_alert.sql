-- Take an alert out of the outbox.
-- parameters: alert_id
DELETE FROM alerts WHERE alert_id = %s
