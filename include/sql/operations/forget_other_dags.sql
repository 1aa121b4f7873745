-- Wait no longer for the successes of DAGs that are switched off or were removed.
-- parameters: dag_ids (JSON list of the others)
DELETE FROM watched_dags WHERE NOT JSON_CONTAINS(%(dag_ids)s, JSON_QUOTE(dag_id))
