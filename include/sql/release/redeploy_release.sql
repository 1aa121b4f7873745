-- Let a version be deployed again, by another configuration perhaps; a champion stays one meanwhile.
-- parameters: model_version, endpoint_config, sagemaker_model
-- columns: none
UPDATE released_models
SET status = IF(status = 'champion', 'champion', 'deploying'),
    endpoint_config = %(endpoint_config)s,
    sagemaker_model = %(sagemaker_model)s
WHERE model_version = %(model_version)s
