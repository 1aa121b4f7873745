-- Insert events; one that is there already is left as it is and not counted as affected.
-- parameters: events (JSON rows: series, rows of microseconds since the epoch and event_id)
INSERT INTO events (series, window_start, occurred_at, event_id)
SELECT n.series,
       TIMESTAMP'1970-01-01 00:00:00' + INTERVAL (n.occurred DIV 300000000) * 300 SECOND,
       TIMESTAMP'1970-01-01 00:00:00.000000' + INTERVAL n.occurred MICROSECOND,
       n.event_id
FROM JSON_TABLE(%(events)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  NESTED PATH '$[1][*]' COLUMNS (
    occurred BIGINT PATH '$[0]',
    event_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[1]'
  )
)) AS n
ON DUPLICATE KEY UPDATE events.event_id = events.event_id
