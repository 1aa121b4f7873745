# Amazon MWAA sources this in every container before Airflow starts; an update of the environment is needed
# for a change. It exports nothing: every setting is an Airflow configuration option of the environment, which
# would win over an export, and what needs installing stands in requirements.txt. It must end cleanly, or
# the container is taken for sick.
echo "vigil: nothing to prepare for ${MWAA_AIRFLOW_COMPONENT:-Airflow}"
