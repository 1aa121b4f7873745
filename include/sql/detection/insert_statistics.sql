-- Keep the statistics of series, or bring them up to date.
-- parameters: series, day, level, tails (JSON)
INSERT INTO series_statistics (series, day, level, tails)
VALUES (%s, %s, %s, %s)
ON DUPLICATE KEY UPDATE level = VALUES(level), tails = VALUES(tails)
