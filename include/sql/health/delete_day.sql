-- Remove what was measured of a day: a window may have gone over from one model version to another.
-- parameters: day
DELETE FROM model_health WHERE day = %(day)s
