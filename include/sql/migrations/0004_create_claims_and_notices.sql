-- Create the ledger of what was trained on, and the notices to operators.

-- What set off a training, once each: a file that people dropped, by its content; an image that was pushed, by
-- its digest. Claimed by one run, settled when that run has trained on it.
CREATE TABLE IF NOT EXISTS training_claims (
  model       VARCHAR(63)   NOT NULL COMMENT 'name of the model spec',
  kind        VARCHAR(8)    NOT NULL COMMENT 'file or image',
  identity    VARCHAR(80)   NOT NULL COMMENT 'SHA-256 of the content, or digest of the image',
  source      VARCHAR(2048) NOT NULL COMMENT 'S3 location, or URI of the image',
  version_id  VARCHAR(1024) NULL     COMMENT 'of the S3 object, in a versioned bucket',
  rows_read   BIGINT        NOT NULL COMMENT 'rows of the file, 0 of an image',
  run         VARCHAR(250)  NOT NULL COMMENT 'run that holds it',
  attempts    INT           NOT NULL COMMENT 'runs that have held it so far',
  status      VARCHAR(12)   NOT NULL COMMENT 'claimed, trained or given_up',
  claimed_at  DATETIME(6)   NOT NULL COMMENT 'by the first run',
  settled_at  DATETIME(6)   NULL,
  PRIMARY KEY (model, kind, identity),
  KEY training_claims_run (run),
  CONSTRAINT training_claims_status CHECK (status IN ('claimed', 'trained', 'given_up'))
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What operators were told, once each; one that SNS has not taken yet has no time of publication.
CREATE TABLE IF NOT EXISTS notices (
  identity      VARCHAR(250)  NOT NULL COMMENT 'kind and run',
  kind          VARCHAR(32)   NOT NULL,
  model         VARCHAR(63)   NOT NULL,
  text          TEXT          NOT NULL,
  created_at    DATETIME(6)   NOT NULL,
  published_at  DATETIME(6)   NULL,
  PRIMARY KEY (identity),
  KEY notices_unpublished (published_at, created_at)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
