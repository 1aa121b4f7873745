-- Read the counts of one series in a period as one text, which costs a hundredth of reading them as rows.
-- A window whose events changed since it was counted is left out: its count is known to be wrong. The lines
-- come in any order: ordering them here would double the work, and the reader sorts what is in order anyway.
-- parameters: series; first, end: window starts in [first, end)
-- columns: windows: lines `2026-01-02 03:05:00,57,`, with the usual count behind it where the window
--          was judged anomalous; NULL where there are none.
--          rows_counted: how many lines there must be, for the server cuts long texts without an error
SELECT
  GROUP_CONCAT(c.window_start, ',', c.observed, ',', COALESCE(c.usual, '') SEPARATOR '\n') AS windows,
  COUNT(*) AS rows_counted
FROM window_counts AS c
WHERE c.series = %(series)s
  AND c.window_start >= %(first)s
  AND c.window_start < %(end)s
  AND NOT EXISTS (
    SELECT 1 FROM dirty_windows AS d WHERE d.series = c.series AND d.window_start = c.window_start
  )
