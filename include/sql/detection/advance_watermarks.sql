-- Move forward the watermark of every series of a source that has not ended.
-- parameters: source, watermark
UPDATE series SET watermark = %(watermark)s
WHERE source = %(source)s AND retired_at IS NULL AND watermark < %(watermark)s
