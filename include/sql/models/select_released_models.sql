-- Read every version of a model that was ever released or is being deployed, newest first.
-- parameters: model; every: whether to take all, or only the champion and
--   variants (list of names) that answered
-- columns: as in released_models, in the order of vigil.released_models.ReleasedModel
SELECT model_version, model, endpoint, variant, model_package_arn, endpoint_config, sagemaker_model,
       model_data_url, training_job, band, metrics, status, COALESCE(due_at, created_at) AS due_at, released_at,
       retired_at, smoke_test
FROM released_models
WHERE model = %(model)s
  AND (%(every)s OR status = 'champion' OR variant IN %(variants)s)
ORDER BY created_at DESC, model_version DESC
