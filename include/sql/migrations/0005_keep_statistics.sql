-- Keep what a judge said of each window beside its count, and the daily statistics of each series.
-- The columns of a table come together or not at all; a migration that was killed behind them finds them there.
SET @columns = (
  SELECT COUNT(*)
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'window_counts' AND column_name = 'expected'
);
SET @change = IF(
  @columns > 0,
  'DO 0',
  'ALTER TABLE window_counts ADD COLUMN expected DOUBLE NULL COMMENT ''as last judged'', ADD COLUMN usual INT UNSIGNED NULL COMMENT ''what features take in place of an anomalous count; NULL where observed is usual'''
);
PREPARE change_window_counts FROM @change;
EXECUTE change_window_counts;
DEALLOCATE PREPARE change_window_counts;

SET @columns = (
  SELECT COUNT(*)
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'predictions' AND column_name = 'extrapolated'
);
SET @change = IF(
  @columns > 0,
  'DO 0',
  'ALTER TABLE predictions ADD COLUMN extrapolated TINYINT(1) NOT NULL DEFAULT 0 COMMENT ''rarer than the calibration could show'', MODIFY COLUMN score DOUBLE NOT NULL COMMENT ''as rare as one window in so many; negative below what was expected'''
);
PREPARE change_predictions FROM @change;
EXECUTE change_predictions;
DEALLOCATE PREPARE change_predictions;

-- What a day is judged by: drawn from the weeks before it, and drawn anew from counts and verdicts at any time.
CREATE TABLE IF NOT EXISTS series_statistics (
  series   VARCHAR(64)  NOT NULL,
  day      DATE         NOT NULL COMMENT 'whose windows are judged by it',
  level    DOUBLE       NOT NULL COMMENT 'median count of the week before',
  tails    TEXT         NOT NULL COMMENT 'JSON, see vigil.deviations',
  PRIMARY KEY (series, day)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
