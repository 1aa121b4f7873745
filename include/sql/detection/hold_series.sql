-- Lock some series in the order of their key, and read what they were before.
-- parameters: series (JSON rows: series)
-- columns: series, source, first_window, watermark
SELECT s.series, s.source, s.first_window, s.watermark
FROM JSON_TABLE(%(series)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]'
)) AS n
STRAIGHT_JOIN series AS s ON s.series = n.series
FOR UPDATE
