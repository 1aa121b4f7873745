-- Write down a version before it is deployed.
-- parameters: those of released_models, but for status and times; due_at; now
-- columns: none
INSERT INTO released_models (
  model_version, model, endpoint, variant, model_package_arn, endpoint_config, sagemaker_model,
  model_data_url, training_job, band, metrics, smoke_test, status, due_at, created_at
)
VALUES (
  %(model_version)s, %(model)s, %(endpoint)s, %(variant)s, %(model_package_arn)s, %(endpoint_config)s,
  %(sagemaker_model)s, %(model_data_url)s, %(training_job)s, %(band)s, %(metrics)s, %(smoke_test)s,
  'deploying', %(due_at)s, %(now)s
)
