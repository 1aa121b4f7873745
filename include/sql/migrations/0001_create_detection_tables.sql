-- Create the tables of counting, judging and alerting.
-- Every statement may run twice: a migration that was killed halfway is simply run again.
-- All times are UTC. Columns named after the words of README.md#words.

CREATE TABLE IF NOT EXISTS sources (
  source        VARCHAR(64)  NOT NULL COMMENT 'name in the pipeline settings',
  position      TEXT         NOT NULL COMMENT 'JSON: up to where this source was taken; moves with the events in one transaction',
  updated_at    DATETIME(6)  NOT NULL,
  PRIMARY KEY (source)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS series (
  series          VARCHAR(64)      NOT NULL,
  source          VARCHAR(64)      NOT NULL,
  first_window    DATETIME         NOT NULL COMMENT 'no window before it is counted',
  watermark       DATETIME(6)      NOT NULL COMMENT 'complete up to here, as its source says',
  retired_at      DATETIME(6)      NULL     COMMENT 'no window that ends after it is counted as zero',
  live_from       DATETIME         NOT NULL COMMENT 'first window that detect_anomalies judges; earlier ones are history',
  counted_until   DATETIME         NOT NULL COMMENT 'every window before it is complete and has a row in window_counts',
  judged_until    DATETIME         NOT NULL COMMENT 'live windows before it have had their say in incidents',
  too_late_events BIGINT UNSIGNED  NOT NULL DEFAULT 0,
  PRIMARY KEY (series),
  KEY series_by_source (source)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The identity of an event is (series, event_id, occurred_at); window_start follows from occurred_at and
-- stands first in the key because a recount looks up one window of one series.
CREATE TABLE IF NOT EXISTS events (
  series        VARCHAR(64)  NOT NULL,
  window_start  DATETIME     NOT NULL,
  occurred_at   DATETIME(6)  NOT NULL,
  event_id      VARCHAR(64)  NOT NULL,
  PRIMARY KEY (series, window_start, occurred_at, event_id),
  CONSTRAINT events_window CHECK (
    window_start = TIMESTAMP'1970-01-01 00:00:00'
      + INTERVAL (TIMESTAMPDIFF(SECOND, TIMESTAMP'1970-01-01 00:00:00', occurred_at) DIV 300) * 300 SECOND
  )
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
PARTITION BY RANGE COLUMNS (window_start) (
  PARTITION p_future VALUES LESS THAN (MAXVALUE)
);

-- Written by ingest in the transaction of the events, removed by the collector that recounted the window.
CREATE TABLE IF NOT EXISTS dirty_windows (
  series        VARCHAR(64)  NOT NULL,
  window_start  DATETIME     NOT NULL,
  PRIMARY KEY (series, window_start)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS window_counts (
  series        VARCHAR(64)        NOT NULL,
  window_start  DATETIME           NOT NULL,
  observed      INT UNSIGNED       NOT NULL,
  revision      SMALLINT UNSIGNED  NOT NULL DEFAULT 1 COMMENT 'grows when a recount changed observed',
  counted_at    DATETIME(6)        NOT NULL,
  PRIMARY KEY (series, window_start)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Written by the collector in the transaction of the counts, removed by the judge with its verdict.
CREATE TABLE IF NOT EXISTS unjudged_windows (
  series        VARCHAR(64)  NOT NULL,
  window_start  DATETIME     NOT NULL,
  PRIMARY KEY (series, window_start),
  KEY unjudged_windows_by_time (window_start)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS predictions (
  series         VARCHAR(64)        NOT NULL,
  window_start   DATETIME           NOT NULL,
  revision       SMALLINT UNSIGNED  NOT NULL,
  model_version  VARCHAR(96)        NOT NULL COMMENT 'released_models.model_version that answered',
  observed       INT UNSIGNED       NOT NULL,
  expected       DOUBLE             NOT NULL,
  lower_bound    DOUBLE             NOT NULL,
  upper_bound    DOUBLE             NOT NULL,
  score          DOUBLE             NOT NULL COMMENT 'signed; beyond -1 or 1 the window is outside the band',
  verdict        VARCHAR(8)         NOT NULL COMMENT 'normal, high or low',
  judged_at      DATETIME(6)        NOT NULL,
  PRIMARY KEY (series, window_start, revision, model_version),
  CONSTRAINT predictions_verdict CHECK (verdict IN ('normal', 'high', 'low'))
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS incidents (
  series          VARCHAR(64)   NOT NULL COMMENT 'or the source that fell silent',
  opened_at       DATETIME      NOT NULL COMMENT 'window_start of the first anomalous window',
  last_anomalous  DATETIME      NOT NULL,
  closed_at       DATETIME      NULL     COMMENT 'window_start of the first normal window after it',
  kind            VARCHAR(16)   NOT NULL COMMENT 'high, low (as its first window was) or silent_source',
  windows         INT UNSIGNED  NOT NULL,
  peak_window     DATETIME      NOT NULL,
  peak_score      DOUBLE        NOT NULL,
  model_version   VARCHAR(96)   NOT NULL COMMENT 'that judged its first window; empty for a silent source',
  alerted         TINYINT(1)    NOT NULL COMMENT 'its opening was put into the outbox',
  PRIMARY KEY (series, opened_at, kind),
  KEY incidents_open (closed_at, series)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The outbox: written in the transaction of the incident it tells of, published and marked by the relay.
CREATE TABLE IF NOT EXISTS alerts (
  alert_id      BIGINT UNSIGNED  NOT NULL AUTO_INCREMENT,
  identity      VARCHAR(191)     NOT NULL COMMENT 'subject/incident/kind/n',
  subject       VARCHAR(64)      NOT NULL COMMENT 'the series it is about, or group',
  title         VARCHAR(100)     NOT NULL COMMENT 'subject line of the message',
  body          TEXT             NOT NULL,
  attributes    TEXT             NOT NULL COMMENT 'JSON object: message attributes for subscription filters',
  created_at    DATETIME(6)      NOT NULL,
  published_at  DATETIME(6)      NULL,
  message_id    VARCHAR(100)     NULL     COMMENT 'as SNS answered',
  attempts      INT UNSIGNED     NOT NULL DEFAULT 0,
  last_error    VARCHAR(500)     NULL,
  PRIMARY KEY (alert_id),
  UNIQUE KEY alerts_identity (identity),
  KEY alerts_unpublished (published_at, alert_id)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
