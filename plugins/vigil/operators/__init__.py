"""What Airflow runs: thin shells over the domains.

Operators import their domain inside `execute`: numpy and PyMySQL must not be loaded while a DAG is parsed.
"""
