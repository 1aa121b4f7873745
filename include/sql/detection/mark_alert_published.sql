-- Note that SNS took an alert.
-- parameters: published_at, message_id, alert_id
UPDATE alerts SET published_at = %s, message_id = %s, attempts = attempts + 1, last_error = NULL WHERE alert_id = %s
