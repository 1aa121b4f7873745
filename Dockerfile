# One image for Airflow's processes and the embedded AWS; docker-compose.yaml says of which version.
ARG AIRFLOW_IMAGE
FROM ${AIRFLOW_IMAGE}

COPY requirements.lock /vigil/requirements.lock
# The image has most of it in these versions already; the rest comes with its hash, and nothing is built.
RUN pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes --requirement /vigil/requirements.lock

USER root
# The volume that is mounted here takes over whose folder it is.
RUN mkdir -p /vigil/var && chown airflow: /vigil/var
USER airflow

WORKDIR /vigil
ENV PYTHONPATH=/vigil/plugins:/vigil PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT ["python", "-m"]
