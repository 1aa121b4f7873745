-- Take over what a run that has ended without success had claimed.
-- parameters: run, source, version_id, model, kind, identity
-- columns: none
UPDATE training_claims
SET run = %(run)s, attempts = attempts + 1, source = %(source)s, version_id = %(version_id)s
WHERE model = %(model)s AND kind = %(kind)s AND identity = %(identity)s
