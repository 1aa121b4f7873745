-- Mark a version whose deployment failed; a champion stays one.
-- parameters: model_version, now
-- columns: none; one row is changed, or none when it is no longer being deployed
UPDATE released_models
SET status = 'failed', retired_at = %(now)s
WHERE model_version = %(model_version)s AND status = 'deploying'
