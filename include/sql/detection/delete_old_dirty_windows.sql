-- Remove the marks of windows whose events are no longer kept.
-- parameters: oldest
DELETE FROM dirty_windows WHERE window_start < %(oldest)s
