-- Make a deployed version the champion, or write down where the champion has moved to; it became it only once.
-- The time is set first: it needs the status of before.
-- parameters: model_version, endpoint, endpoint_config, sagemaker_model, now
-- columns: none
UPDATE released_models
SET released_at = IF(status = 'champion', released_at, %(now)s),
    status = 'champion',
    retired_at = NULL,
    endpoint = %(endpoint)s,
    endpoint_config = %(endpoint_config)s,
    sagemaker_model = %(sagemaker_model)s
WHERE model_version = %(model_version)s
