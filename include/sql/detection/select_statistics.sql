-- Read the statistics of some series for some days, and the newest before the first of them.
-- parameters: series (JSON rows: place, series, first day, last day)
-- columns: place, day, level, tails (JSON)
SELECT n.place, s.day, s.level, s.tails
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  place INT PATH '$[0]',
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]',
  first_day DATE PATH '$[2]',
  last_day DATE PATH '$[3]'
)) AS n
STRAIGHT_JOIN series_statistics AS s ON s.series = n.series AND s.day <= n.last_day
  AND s.day >= COALESCE(
    (SELECT MAX(e.day) FROM series_statistics AS e WHERE e.series = n.series AND e.day <= n.first_day),
    n.first_day
  )
ORDER BY n.place, s.day
