-- Snooze some series; a second try of the same run changes nothing.
-- parameters: pattern, starts_at, ends_at, reason, now, run
INSERT INTO snoozes (pattern, starts_at, ends_at, reason, created_at, run)
VALUES (%(pattern)s, %(starts_at)s, %(ends_at)s, %(reason)s, %(now)s, %(run)s)
ON DUPLICATE KEY UPDATE run = VALUES(run)
