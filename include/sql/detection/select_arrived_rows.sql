-- Read the rows of somebody else's table that arrived after a position, in the order of their arrival.
-- identifiers: table, series, occurred_at, event_id, arrived (checked by the pipeline settings)
-- parameters: series, arrived, event_id (of the last row that was read; NULL to begin with the rows of that very
--   moment), limit
-- columns: series, occurred_at, event_id, arrived
SELECT {series}, {occurred_at}, {event_id}, {arrived}
FROM {table}
WHERE {arrived} >= %(arrived)s
  AND (
    {arrived} > %(arrived)s
    OR {event_id} > %(event_id)s
    OR (%(event_id)s IS NULL AND {event_id} IS NOT NULL)
  )
ORDER BY {arrived}, {event_id}
LIMIT %(limit)s
