-- Mark a version whose deployment failed; a champion stays one.
-- parameters: model_version
-- columns: none
UPDATE released_models
SET status = 'failed'
WHERE model_version = %(model_version)s AND status = 'deploying'
