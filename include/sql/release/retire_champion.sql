-- Retire the champion of an endpoint, unless it is the version that comes in.
-- parameters: endpoint; model_version that comes in; now
-- columns: none
UPDATE released_models
SET status = 'retired', retired_at = %(now)s
WHERE endpoint = %(endpoint)s AND status = 'champion' AND model_version <> %(model_version)s
