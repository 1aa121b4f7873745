-- Create the tables of model health.

-- How a model version did on a day, by what is counted now. Sums are over the windows inside the band.
CREATE TABLE IF NOT EXISTS model_health (
  model_version   VARCHAR(96)        NOT NULL,
  series          VARCHAR(64)        NOT NULL,
  day             DATE               NOT NULL COMMENT 'UTC',
  windows         SMALLINT UNSIGNED  NOT NULL COMMENT 'judged',
  inside          SMALLINT UNSIGNED  NOT NULL COMMENT 'of them, those whose count lies in the band',
  observed        BIGINT UNSIGNED    NOT NULL COMMENT 'events',
  absolute_error  DOUBLE             NOT NULL COMMENT 'sum of |expected - observed|',
  error           DOUBLE             NOT NULL COMMENT 'sum of expected - observed',
  PRIMARY KEY (model_version, series, day),
  KEY model_health_by_day (day, model_version)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row a day that was measured, also if nothing was judged on it.
CREATE TABLE IF NOT EXISTS model_health_days (
  day          DATE         NOT NULL,
  measured_at  DATETIME(6)  NOT NULL,
  PRIMARY KEY (day)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- When a model version was outside its limits for long enough. Each row was told of once, and that of the
-- whole model sets off one training.
CREATE TABLE IF NOT EXISTS model_health_spells (
  model_version  VARCHAR(96)  NOT NULL,
  series         VARCHAR(64)  NOT NULL COMMENT 'empty for the model as a whole',
  began          DATE         NOT NULL COMMENT 'first day outside',
  ended          DATE         NULL     COMMENT 'first day inside again',
  noticed_at     DATETIME(6)  NOT NULL COMMENT 'when it was written down, and told',
  PRIMARY KEY (model_version, series, began)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
