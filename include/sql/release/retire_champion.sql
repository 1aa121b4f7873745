-- Retire the champion of a model, also one that served from an endpoint of another name, unless it is the version
-- that comes in.
-- parameters: model; model_version that comes in; now
-- columns: none
UPDATE released_models
SET status = 'retired', retired_at = %(now)s
WHERE model = %(model)s AND status = 'champion' AND model_version <> %(model_version)s
