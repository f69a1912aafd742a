# Needs Python 3.11+ and make, nothing else. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help up test lint bench chaos simulate test-chart lock clean
VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
export PYTHON

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

up: $(VENV)/.installed-local ## start Kafka, registry, ClickHouse and every stage, run the example day, keep running
	@exec $(VENV)/bin/nightdesk up

test: lint ## every check: lint, types, tests
	@exec sh .ci/test

lint: $(VENV)/.installed-dev ## ruff and mypy
	@$(PYTHON_IN_VENV) -m ruff check .
	@$(PYTHON_IN_VENV) -m ruff format --check .
	@$(PYTHON_IN_VENV) -m mypy

bench: $(VENV)/.installed-dev ## speed on this machine against the floor
	@exec $(PYTHON_IN_VENV) -m benchmarks

chaos: $(VENV)/.installed-dev ## break the running pipeline, count what is lost or doubled (SCENARIO=kill-storm SEED=7; long: N=200)
	@exec $(PYTHON_IN_VENV) -m tests.chaos $(SCENARIO) $(if $(SEED),--seed $(SEED)) $(if $(N),--size $(N))

simulate: $(VENV)/.installed-dev ## a hundred thousand small worlds of the decision core, each broken in its own way
	@exec $(PYTHON_IN_VENV) -m tests.simulator --seeds 100000

test-chart: $(VENV)/.installed-dev ## check the Helm chart, the compose file and the Dockerfile
	@exec sh deploy/test-chart.sh

lock: $(VENV)/.installed-dev ## bring requirements/*.txt up to date with pyproject.toml
	@exec sh .ci/lock

clean: ## remove .venv, caches and the local stack's data (stop `make up` first)
	@rm -rf $(VENV) .nightdesk .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed-%: requirements/%.txt pyproject.toml .ci/install
	@.ci/install $*
	@touch $@
