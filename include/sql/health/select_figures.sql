-- Read how a model version did in [first, last], by series and day.
-- parameters: model_version, first, last
-- columns: series, day, windows, inside, observed, absolute_error, error
SELECT series, day, windows, inside, observed, absolute_error, error
FROM model_health
WHERE day >= %(first)s AND day <= %(last)s AND model_version = %(model_version)s
ORDER BY series, day
