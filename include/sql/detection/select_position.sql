-- Read where a source was left.
-- parameters: source
-- columns: position (JSON)
SELECT position FROM sources WHERE source = %(source)s
