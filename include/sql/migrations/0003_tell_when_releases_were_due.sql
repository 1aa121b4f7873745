-- Let a released version tell for when it was trained, since when it no longer serves, and what it answers.
-- One statement, so that it is applied whole.
ALTER TABLE released_models
  ADD COLUMN due_at DATETIME(6) NULL COMMENT 'moment for which the training was due',
  ADD COLUMN retired_at DATETIME(6) NULL COMMENT 'when another version took its place, or its deployment failed',
  ADD COLUMN smoke_test MEDIUMTEXT NULL COMMENT 'JSON, see vigil.smoke_tests'
