"""Amazon MWAA: environments that really run Airflow, from what lies in S3."""
