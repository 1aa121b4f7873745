-- Read the snoozes that reach into [start, end].
-- parameters: start, end
-- columns: pattern, starts_at, ends_at, reason
SELECT pattern, starts_at, ends_at, reason
FROM snoozes
WHERE ends_at > %(start)s AND starts_at <= %(end)s
ORDER BY snooze_id
