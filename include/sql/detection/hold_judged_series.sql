-- Lock some series in the order of their key, and read up to where each was judged.
-- parameters: series (JSON rows: series)
-- columns: series, judged_until
SELECT s.series, s.judged_until
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
FOR UPDATE
