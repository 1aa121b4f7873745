#!/usr/bin/env bash
# Write .env for docker-compose.yaml: secrets that are made once and stay on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -e .env ] && { echo "vigil: .env is there already; delete it for new secrets, together with the volumes: docker compose down --volumes"; exit 0; }

token() { head -c 64 /dev/urandom | sha256sum | cut -c1-"$1"; }

umask 077
{
  echo "# Secrets of docker-compose.yaml, made by \`make .env\`. They belong to the volumes: never commit them."
  echo "MYSQL_PASSWORD=$(token 32)"
  echo "POSTGRES_PASSWORD=$(token 32)"
  echo "AIRFLOW_PASSWORD=$(token 16)"
  echo "API_SECRET_KEY=$(token 64)"
  echo "JWT_SECRET=$(token 64)$(token 64)"
  echo "FERNET_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')"
} > .env.new
mv .env.new .env
echo "vigil: wrote .env"
