-- Put alerts into the outbox; those that are there already are left as they are and not counted as affected.
-- parameters: identity, subject, title, body, attributes, created_at
INSERT INTO alerts (identity, subject, title, body, attributes, created_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON DUPLICATE KEY UPDATE identity = identity
