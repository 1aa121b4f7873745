-- Mark a notice that SNS took.
-- parameters: now, identity
-- columns: none
UPDATE notices SET published_at = %s WHERE identity = %s
