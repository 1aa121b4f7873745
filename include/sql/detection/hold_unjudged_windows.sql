-- Lock those among some windows that are still marked for judging.
-- MySQL refuses to lock rows beside a JSON_TABLE (error 3569), unless that lies in a table of its own.
-- parameters: windows (JSON rows: series, window_start)
-- columns: series, window_start
SELECT u.series, u.window_start
FROM (
  SELECT j.series, j.window_start
  FROM JSON_TABLE(%(windows)s, '$[*]' COLUMNS (
    series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
    window_start DATETIME PATH '$[1]'
  )) AS j
) AS n
STRAIGHT_JOIN unjudged_windows AS u ON u.series = n.series AND u.window_start = n.window_start
FOR UPDATE
