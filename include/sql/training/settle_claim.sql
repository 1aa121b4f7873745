-- Note that a run has trained on what it claimed, and where that lies now; what another run took over stays.
-- parameters: now, source, model, kind, identity, run
-- columns: none
UPDATE training_claims
SET status = 'trained', settled_at = %(now)s, source = %(source)s, version_id = NULL
WHERE model = %(model)s AND kind = %(kind)s AND identity = %(identity)s AND run = %(run)s
