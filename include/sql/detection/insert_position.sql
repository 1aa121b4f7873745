-- Make sure that a source has a position, and lock it until the transaction ends.
-- parameters: source, position, now
INSERT INTO sources (source, position, updated_at)
VALUES (%(source)s, %(position)s, %(now)s)
ON DUPLICATE KEY UPDATE source = source
