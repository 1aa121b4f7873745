-- Write down spells, or when they ended.
-- parameters: model_version, now, spells (JSON rows: series, began, ended)
INSERT INTO model_health_spells (model_version, series, began, ended, noticed_at)
SELECT %(model_version)s, n.series, n.began, n.ended, %(now)s
FROM JSON_TABLE(%(spells)s, '$[*]' COLUMNS (
  series VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]',
  began DATE PATH '$[1]',
  ended DATE PATH '$[2]'
)) AS n
ON DUPLICATE KEY UPDATE model_health_spells.ended = n.ended
