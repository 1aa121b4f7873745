-- Read since when successes of DAGs are waited for.
-- columns: dag_id, watched_since
SELECT dag_id, watched_since FROM watched_dags ORDER BY dag_id
