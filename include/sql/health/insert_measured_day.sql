-- Note that a day is measured now, and keep others from measuring it meanwhile.
-- parameters: day, now
INSERT INTO model_health_days (day, measured_at)
VALUES (%(day)s, %(now)s)
ON DUPLICATE KEY UPDATE measured_at = %(now)s
