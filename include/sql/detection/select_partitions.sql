-- List the partitions of the raw events.
-- columns: partition_name
SELECT partition_name
FROM information_schema.partitions
WHERE table_schema = DATABASE() AND table_name = 'events'
ORDER BY partition_ordinal_position
