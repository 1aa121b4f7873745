-- Lock some series in the order of their key, and read what they were before.
-- MySQL refuses to lock rows beside a JSON_TABLE (error 3569), unless that lies in a table of its own.
-- parameters: series (JSON rows: series)
-- columns: series, source, first_window, watermark
SELECT s.series, s.source, s.first_window, s.watermark
FROM (
  SELECT j.series
  FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
    series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
  )) AS j
) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
FOR UPDATE
