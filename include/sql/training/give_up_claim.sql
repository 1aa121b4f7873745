-- Give up what several runs have failed with.
-- parameters: now, model, kind, identity
-- columns: none
UPDATE training_claims
SET status = 'given_up', settled_at = %(now)s
WHERE model = %(model)s AND kind = %(kind)s AND identity = %(identity)s
