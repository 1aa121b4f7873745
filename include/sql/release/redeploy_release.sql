-- Let a version be deployed again, elsewhere or by another configuration perhaps; a champion stays what it is
-- until crown_release says that it has moved.
-- parameters: model_version, endpoint, endpoint_config, sagemaker_model
-- columns: none
UPDATE released_models
SET status = 'deploying',
    endpoint = %(endpoint)s,
    endpoint_config = %(endpoint_config)s,
    sagemaker_model = %(sagemaker_model)s
WHERE model_version = %(model_version)s AND status <> 'champion'
