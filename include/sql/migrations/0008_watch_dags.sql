-- Keep since when each scheduled DAG is switched on: from then on its successes are waited for.
CREATE TABLE IF NOT EXISTS watched_dags (
  dag_id         VARCHAR(250)  NOT NULL,
  watched_since  DATETIME(6)   NOT NULL COMMENT 'first seen to be on, since it was last seen to be off',
  PRIMARY KEY (dag_id)
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin
