-- Keep how grave an incident is, what people were told of it, and when nobody is to be told anything.
-- The columns come together or not at all; a migration that was killed behind them finds them there.
SET @columns = (
  SELECT COUNT(*)
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'incidents' AND column_name = 'told_at'
);
SET @change = IF(
  @columns > 0,
  'DO 0',
  'ALTER TABLE incidents
     MODIFY COLUMN series VARCHAR(64) NOT NULL COMMENT ''or the source that fell silent, or group for a mass outage'',
     MODIFY COLUMN closed_at DATETIME NULL COMMENT ''calm_since, once the calm has lasted'',
     MODIFY COLUMN kind VARCHAR(16) NOT NULL COMMENT ''high, low (as its first window was), silent_source or mass'',
     MODIFY COLUMN alerted INT UNSIGNED NOT NULL COMMENT ''openings that were put into the outbox; a second one only after a correction'',
     ADD COLUMN calm_since DATETIME NULL COMMENT ''window_start of the first normal window after the last anomalous one'',
     ADD COLUMN severity VARCHAR(8) NOT NULL DEFAULT ''minor'' COMMENT ''minor, major or critical, of its gravest window'',
     ADD COLUMN flares INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''how often it was reopened'',
     ADD COLUMN peak_extrapolated TINYINT(1) NOT NULL DEFAULT 0 COMMENT ''rarer than the calibration could show'',
     ADD COLUMN peak_observed INT UNSIGNED NOT NULL DEFAULT 0,
     ADD COLUMN peak_expected DOUBLE NOT NULL DEFAULT 0,
     ADD COLUMN told_worse INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''alerts of that kind'',
     ADD COLUMN told_reminders INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''alerts of that kind'',
     ADD COLUMN told_closings INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''alerts of that kind'',
     ADD COLUMN told_corrections INT UNSIGNED NOT NULL DEFAULT 0 COMMENT ''alerts of that kind'',
     ADD COLUMN told_goes_on TINYINT(1) NOT NULL DEFAULT 0 COMMENT ''the last that people were told is that it goes on'',
     ADD COLUMN told_at DATETIME NULL COMMENT ''window_start at which they were last told something'',
     ADD COLUMN told_score DOUBLE NOT NULL DEFAULT 0 COMMENT ''of the rarest window that they were told of'',
     ADD COLUMN muted_by VARCHAR(500) NULL COMMENT ''why something was not told, the last time that was so'',
     ADD COLUMN cleared_at DATETIME(6) NULL COMMENT ''when a recount left no anomalous window of it'',
     ADD KEY incidents_told (told_at, series),
     ADD KEY incidents_muted (muted_by)'
);
PREPARE change_incidents FROM @change;
EXECUTE change_incidents;
DEALLOCATE PREPARE change_incidents;

-- Of incidents from before, people know. Their scores were of another kind, so that none grows worse by that.
UPDATE incidents
SET told_goes_on = closed_at IS NULL, told_closings = closed_at IS NOT NULL,
    told_at = COALESCE(closed_at, opened_at), told_score = 1e300
WHERE alerted > 0 AND told_at IS NULL;
UPDATE incidents SET calm_since = closed_at WHERE closed_at IS NOT NULL AND calm_since IS NULL;

CREATE TABLE IF NOT EXISTS snoozes (
  snooze_id   BIGINT UNSIGNED  NOT NULL AUTO_INCREMENT,
  pattern     VARCHAR(100)     NOT NULL COMMENT 'of series, as in orders*; source:shop is the silence of a source',
  starts_at   DATETIME(6)      NOT NULL,
  ends_at     DATETIME(6)      NOT NULL,
  reason      VARCHAR(400)     NOT NULL,
  created_at  DATETIME(6)      NOT NULL,
  run         VARCHAR(250)     NOT NULL COMMENT 'run that asked for it; once each',
  PRIMARY KEY (snooze_id),
  UNIQUE KEY snoozes_run (run),
  KEY snoozes_by_end (ends_at)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row a piece of work that only one may do at a time; locked, never read.
CREATE TABLE IF NOT EXISTS turns (
  work  VARCHAR(32)  NOT NULL,
  PRIMARY KEY (work)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
