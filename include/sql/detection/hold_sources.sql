-- Lock every source until the transaction ends.
SELECT source FROM sources ORDER BY source FOR UPDATE
