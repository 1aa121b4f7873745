"""One machine's stack: a private database, the embedded AWS and Airflow, under one process runner."""
