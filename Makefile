# Vigil on one machine. `make` lists what there is.
.DEFAULT_GOAL := help
.PHONY: help install lock docs
.PHONY: up aws down status doctor logs clean demo .env
.PHONY: test test-long test-mwaa test-deploy test-mysql nab bench audit
.PHONY: package deploy rollback deployed destroy

PYTHON ?= python3
VENV := .venv/bin
DATA ?= include/sample-data
# Said beside the target, or not at all: some shells have a variable of this name.
ENV =
DEPLOYING = $(if $(TAKE_OVER),--take-over) $(if $(MIGRATED),--migrated)
export PYTHON
# Without kept bytecode every process of the stack and of the tests would compile Airflow anew.
unexport PYTHONDONTWRITEBYTECODE
# What runs on this machine is reached without a proxy.
comma := ,
export NO_PROXY := 127.0.0.1,localhost$(addprefix $(comma),$(or $(no_proxy),$(NO_PROXY)))
export no_proxy := $(NO_PROXY)

help:  ## Show the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:  ## Create .venv from the lock, and fetch a database server if there is none
	@bash local_stack/install.sh
	@test -n "$$VIGIL_DATABASE" || bash local_stack/fetch_mariadb.sh >/dev/null

demo: install  ## Turn the whole loop once on real data and show the results (about 5 minutes)
	@$(VENV)/python -m local_stack demo

up: install  ## Start database, embedded AWS and Airflow, and leave them running
	@$(VENV)/python -m local_stack up

aws: install  ## Start database and embedded AWS alone, to deploy to
	@$(VENV)/python -m local_stack aws

down: install  ## Stop them; what they stored stays
	@$(VENV)/python -m local_stack down

status: install  ## Show the processes and how to log in
	@$(VENV)/python -m local_stack status

doctor: install  ## Tell what is missing here, or of ENV=name, and the fix of each; var/doctor.json
	@$(VENV)/python -m $(if $(ENV),deploy doctor "$(ENV)",local_stack doctor)

logs: install  ## Show the end of the logs; P=name for one process
	@$(VENV)/python -m local_stack logs $(P)

clean: install  ## Stop the stack and delete what it stored
	@$(VENV)/python -m local_stack clean

.env:  ## Make the secrets of docker-compose.yaml
	@bash local_stack/dotenv.sh

test: install  ## Run every check and test
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check -q .
	@$(VENV)/mypy
	@$(VENV)/cfn-lint deploy/*.yaml include/configs/cloudformation/*.yaml
	@$(VENV)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yaml
	@$(VENV)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-long: install  ## Run the tests that wait long for a real scheduler, or for a server that dies
	@$(VENV)/python -m pytest -m long

test-mwaa: install  ## Run what Amazon MWAA would, from the package, in a copy of its image's packages
	@$(VENV)/python -m pytest tests/mwaa

test-deploy: install  ## Start Airflow in environments of the embedded MWAA, from the package (minutes)
	@$(VENV)/python -m pytest -m deploy

test-mysql: install  ## Run the tests that need a database on MySQL itself, from Debian unstable (minutes)
	@bash local_stack/fetch_mysql.sh >/dev/null
	@VIGIL_TEST_SERVER=mysql $(VENV)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

package: install  ## Build what Amazon MWAA runs into build/mwaa; WHEELS=1 for a network without PyPI
	@$(VENV)/python -m deploy package $(if $(WHEELS),--wheels)

deploy: install  ## Show what differs in ENV=name, ask (YES=1 does not), and bring it about; SHOW=1 shows only
	@$(VENV)/python -m deploy deploy "$(ENV)" $(if $(YES),--yes) $(if $(SHOW),--show-only) $(DEPLOYING)

rollback: install  ## Bring the deployment before back to ENV=name, or TO=deployment
	@$(VENV)/python -m deploy rollback "$(ENV)" $(if $(TO),--to "$(TO)") $(if $(YES),--yes) $(DEPLOYING)

deployed: install  ## Show the stacks and the deployments of ENV=name
	@$(VENV)/python -m deploy status "$(ENV)"

destroy: install  ## Remove ENV=name so that nothing is billed; KEEP_DATA=1 keeps buckets and a snapshot
	@$(VENV)/python -m deploy destroy "$(ENV)" $(if $(KEEP_DATA),--keep-data) $(if $(CONFIRM),--confirm "$(CONFIRM)") $(if $(TAKE_OVER),--take-over)

docs: install  ## Write docs/DAGS.md from the DAGs
	@$(VENV)/python -m local_stack docs

nab: install  ## Score detection on a folder of series, DATA=folder; results in var/bench
	@$(VENV)/python -m bench.nab "$(DATA)"

bench: install  ## Measure the figures against their competitors; results in var/bench
	@$(VENV)/python -m bench

audit: install  ## Ask PyPI whether an advisory is known for a locked package (needs pypi.org)
	@bash local_stack/audit.sh

lock: install  ## Choose versions anew from requirements.in
	@bash local_stack/lock.sh
