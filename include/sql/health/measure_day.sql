-- Measure a day of some series by the verdict that holds on each window: the one on its newest revision, and
-- of several versions that of the last to judge. Sums are over windows whose present count is inside the band.
-- parameters: day, start, end (of the day), series (list of names; makes ranges of the primary key)
INSERT INTO model_health (model_version, series, day, windows, inside, observed, absolute_error, error)
SELECT v.model_version, v.series, %(day)s, COUNT(*), SUM(v.inside), SUM(v.inside * v.observed),
       SUM(v.inside * ABS(v.expected - v.observed)), SUM(v.inside * (v.expected - v.observed))
FROM (
  SELECT p.model_version, p.series, p.expected, c.observed,
         c.observed BETWEEN p.lower_bound AND p.upper_bound AS inside
  FROM predictions AS p
  STRAIGHT_JOIN window_counts AS c ON c.series = p.series AND c.window_start = p.window_start
  WHERE p.series IN %(series)s AND p.window_start >= %(start)s AND p.window_start < %(end)s
    AND NOT EXISTS (
      SELECT 1 FROM predictions AS n
      WHERE n.series = p.series AND n.window_start = p.window_start
        AND (n.revision > p.revision
          OR (n.revision = p.revision AND n.judged_at > p.judged_at)
          OR (n.revision = p.revision AND n.judged_at = p.judged_at AND n.model_version > p.model_version))
    )
) AS v
GROUP BY v.model_version, v.series
