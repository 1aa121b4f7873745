-- Read the status of a released version and keep others from judging its health meanwhile.
-- parameters: model_version
-- columns: status
SELECT status FROM released_models WHERE model_version = %(model_version)s FOR UPDATE
