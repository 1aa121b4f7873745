-- Begin to wait for a DAG's successes, unless that is so already.
-- parameters: dag_id, now
INSERT INTO watched_dags (dag_id, watched_since) VALUES (%s, %s) ON DUPLICATE KEY UPDATE dag_id = VALUES(dag_id)
