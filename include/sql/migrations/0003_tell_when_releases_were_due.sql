-- Let a released version tell for which moment it was trained (due_at), when another version took its place or its
-- deployment failed (retired_at), and what it answers to known rows (smoke_test, JSON, see vigil.smoke_tests).
-- The columns come together or not at all; a migration that was killed behind them finds them there.
SET @columns = (
  SELECT COUNT(*)
  FROM information_schema.columns
  WHERE table_schema = DATABASE() AND table_name = 'released_models' AND column_name = 'due_at'
);
SET @change = IF(
  @columns > 0,
  'DO 0',
  'ALTER TABLE released_models ADD COLUMN due_at DATETIME(6) NULL, ADD COLUMN retired_at DATETIME(6) NULL, ADD COLUMN smoke_test MEDIUMTEXT NULL'
);
PREPARE change_released_models FROM @change;
EXECUTE change_released_models;
DEALLOCATE PREPARE change_released_models;
UPDATE released_models SET due_at = created_at WHERE due_at IS NULL
