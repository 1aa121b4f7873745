-- Read the statistics of some series for the days in [first, last].
-- parameters: series (list of names: each is a range of the key, which no column of another table would be),
--   first, last
-- columns: series, day, level, tails (JSON)
SELECT series, day, level, tails
FROM series_statistics
WHERE series IN %(series)s AND day >= %(first)s AND day <= %(last)s
ORDER BY series, day
