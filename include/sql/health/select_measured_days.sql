-- Read when each day from one on was measured last.
-- parameters: first
-- columns: day, measured_at
SELECT day, measured_at FROM model_health_days WHERE day >= %(first)s
