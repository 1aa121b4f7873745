"""Amazon MWAA: environments that really run Airflow, from what lies in S3.

As in the cloud: named versions of plugins.zip, requirements.txt and startup.sh are taken up by a start or an
update only, DAGs whenever they change; who wins among image, startup.sh, options and MWAA's own needs; an
update that does not work out leaves what there was.

Not as in the cloud: tasks run beside the scheduler (LocalExecutor), metadata lie in SQLite, requirements are
held against this machine's packages instead of being installed, everybody who reaches 127.0.0.1 is let in,
and logs are files in the state directory.
"""
