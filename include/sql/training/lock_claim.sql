-- Read who holds what set off a training, and keep others from changing it.
-- parameters: model, kind, identity
-- columns: run, attempts, status, source
SELECT run, attempts, status, source
FROM training_claims
WHERE model = %(model)s AND kind = %(kind)s AND identity = %(identity)s
FOR UPDATE
