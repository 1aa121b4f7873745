-- Note why SNS did not take an alert.
-- parameters: last_error, alert_id
UPDATE alerts SET last_error = %s, attempts = attempts + 1 WHERE alert_id = %s
