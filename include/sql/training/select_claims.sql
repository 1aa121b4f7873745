-- Read what a model was trained on so far, and what one run has claimed, oldest first.
-- parameters: model, kind, run
-- columns: identity, source, version_id, rows, status
SELECT identity, source, version_id, rows_read, status
FROM training_claims
WHERE model = %(model)s AND kind = %(kind)s
  AND (status = 'trained' OR (status = 'claimed' AND run = %(run)s))
ORDER BY claimed_at, identity
