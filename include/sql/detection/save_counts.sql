-- Set the counts of windows; the revision grows where the count changes.
-- parameters: now, counts (JSON rows: series, window_start, observed)
INSERT INTO window_counts (series, window_start, observed, revision, counted_at)
SELECT n.series, n.window_start, n.observed, 1, %(now)s
FROM JSON_TABLE(%(counts)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  window_start DATETIME PATH '$[1]',
  observed INT UNSIGNED PATH '$[2]'
)) AS n
ON DUPLICATE KEY UPDATE
  window_counts.usual = IF(window_counts.observed <> n.observed, NULL, window_counts.usual),
  window_counts.revision = window_counts.revision + (window_counts.observed <> n.observed),
  window_counts.observed = n.observed,
  window_counts.counted_at = %(now)s
