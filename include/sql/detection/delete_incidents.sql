-- Delete the incidents of a series that opened in [start, end), to write them anew.
-- parameters: series, start, end
DELETE FROM incidents
WHERE series = %(series)s AND opened_at >= %(start)s AND opened_at < %(end)s AND kind IN ('high', 'low')
