-- Create the tables of released models.

-- One row a model version that was ever about to serve. Written before the deployment starts, because the
-- endpoint may answer with the new version before the deployment is known to have succeeded.
CREATE TABLE IF NOT EXISTS released_models (
  model_version      VARCHAR(96)   NOT NULL COMMENT 'model package group and version, as in event-counts/3',
  model              VARCHAR(63)   NOT NULL COMMENT 'name of the model spec',
  endpoint           VARCHAR(63)   NOT NULL,
  variant            VARCHAR(63)   NOT NULL COMMENT 'production variant name; InvokeEndpoint answers with it',
  model_package_arn  VARCHAR(256)  NOT NULL,
  endpoint_config    VARCHAR(63)   NOT NULL,
  sagemaker_model    VARCHAR(63)   NOT NULL COMMENT 'name of the Model that the configuration serves',
  model_data_url     VARCHAR(1024) NOT NULL,
  training_job       VARCHAR(63)   NOT NULL,
  band               MEDIUMTEXT    NOT NULL COMMENT 'JSON, see vigil.bands',
  metrics            MEDIUMTEXT    NOT NULL COMMENT 'JSON',
  status             VARCHAR(12)   NOT NULL COMMENT 'deploying, champion, retired or failed',
  created_at         DATETIME(6)   NOT NULL,
  released_at        DATETIME(6)   NULL     COMMENT 'when it became the champion',
  PRIMARY KEY (model_version),
  UNIQUE KEY released_models_variant (endpoint, variant),
  CONSTRAINT released_models_status CHECK (status IN ('deploying', 'champion', 'retired', 'failed'))
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One release at a time per endpoint: the holder renews its lease while it works.
CREATE TABLE IF NOT EXISTS release_leases (
  endpoint    VARCHAR(63)   NOT NULL,
  holder      VARCHAR(250)  NOT NULL,
  expires_at  DATETIME(6)   NOT NULL,
  PRIMARY KEY (endpoint)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
