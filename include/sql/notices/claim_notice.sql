-- Read the oldest notice that SNS has not taken yet, and keep others from sending it meanwhile.
-- columns: identity, kind, model, text
SELECT identity, kind, model, text
FROM notices
WHERE published_at IS NULL
ORDER BY created_at, identity
LIMIT 1
FOR UPDATE SKIP LOCKED
