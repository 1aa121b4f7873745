-- Keep how far a source was taken.
-- parameters: source, position, now
UPDATE sources SET position = %(position)s, updated_at = %(now)s WHERE source = %(source)s
