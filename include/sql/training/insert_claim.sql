-- Claim what sets off a training, unless somebody has claimed it before.
-- parameters: model, kind, identity, source, version_id, rows, run, now
-- columns: none
INSERT INTO training_claims (
  model, kind, identity, source, version_id, rows_read, run, attempts, status, claimed_at
)
VALUES (
  %(model)s, %(kind)s, %(identity)s, %(source)s, %(version_id)s, %(rows)s, %(run)s, 1, 'claimed', %(now)s
)
ON DUPLICATE KEY UPDATE identity = identity
