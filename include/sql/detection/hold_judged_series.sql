-- Lock some series in the order of their key, and read up to where each was judged.
-- MySQL refuses to lock rows beside a JSON_TABLE (error 3569), unless that lies in a table of its own.
-- parameters: series (JSON rows: series)
-- columns: series, judged_until
SELECT s.series, s.judged_until
FROM (
  SELECT j.series
  FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
    series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
  )) AS j
) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
FOR UPDATE
