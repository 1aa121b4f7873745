-- Read notices that SNS has not taken yet, oldest first, and keep others from sending them meanwhile.
-- parameters: limit
-- columns: identity, kind, model, text
SELECT identity, kind, model, text
FROM notices
WHERE published_at IS NULL
ORDER BY created_at, identity
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
