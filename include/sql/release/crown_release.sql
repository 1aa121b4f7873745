-- Make a deployed version the champion.
-- parameters: model_version, now
-- columns: none
UPDATE released_models
SET status = 'champion', released_at = %(now)s, retired_at = NULL
WHERE model_version = %(model_version)s
