-- End the snoozes of a pattern now.
-- parameters: pattern, now
UPDATE snoozes SET ends_at = %(now)s WHERE pattern = %(pattern)s AND ends_at > %(now)s
