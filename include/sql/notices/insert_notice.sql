-- Write a notice down, unless it was written before.
-- parameters: identity, kind, model, text, now
-- columns: none
INSERT INTO notices (identity, kind, model, text, created_at)
VALUES (%(identity)s, %(kind)s, %(model)s, %(text)s, %(now)s)
ON DUPLICATE KEY UPDATE identity = identity
