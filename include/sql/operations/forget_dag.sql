-- Wait no longer for the successes of a DAG that is switched off.
-- parameters: dag_id
DELETE FROM watched_dags WHERE dag_id = %s
