-- Read when a model version was outside its limits, from a day on, the latest spell of each series last.
-- parameters: model_version, since
-- columns: series (empty for the model as a whole), began, ended
SELECT series, began, ended
FROM model_health_spells
WHERE model_version = %(model_version)s AND began >= %(since)s
ORDER BY series, began
