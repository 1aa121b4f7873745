-- Store verdicts.
-- parameters: series, window_start, revision, model_version, observed, expected, lower_bound, upper_bound,
--   score, extrapolated, verdict, judged_at
INSERT INTO predictions (
  series, window_start, revision, model_version, observed, expected, lower_bound, upper_bound, score, extrapolated,
  verdict, judged_at
)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON DUPLICATE KEY UPDATE
  observed = VALUES(observed), expected = VALUES(expected), lower_bound = VALUES(lower_bound),
  upper_bound = VALUES(upper_bound), score = VALUES(score), extrapolated = VALUES(extrapolated),
  verdict = VALUES(verdict), judged_at = VALUES(judged_at)
