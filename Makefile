# Needs Python 3.11+ and make, nothing else. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help up test test-fast explore generate screenshots mutants lint bench bench-stages bench-audit bench-flat bench-waits bench-state bench-stores chaos simulate night test-chart lock clean
VENV := .venv
PYTHON_IN_VENV := $(VENV)/bin/python
export PYTHON

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

up: $(VENV)/.installed-local ## start Kafka, registry, ClickHouse and every stage, run the example day, keep running
	@exec $(VENV)/bin/nightdesk up

test: lint ## every check: lint, types, tests
	@exec sh .ci/test

lint: $(VENV)/.installed-dev ## ruff and mypy
	@$(PYTHON_IN_VENV) -m ruff check .
	@$(PYTHON_IN_VENV) -m ruff format --check .
	@$(PYTHON_IN_VENV) -m mypy

test-fast: $(VENV)/.installed-dev ## the tests that need no Kafka and no ClickHouse
	@exec sh .ci/test-fast

explore: $(VENV)/.installed-dev ## property tests with other examples than last time, and five times as many
	@exec $(PYTHON_IN_VENV) -m pytest -q --without-broker --explore --timeout 3600 tests/processors tests/effects tests/schemas tests/streams

mutants: $(VENV)/.installed-dev ## put small faults into the code and count how many the tests without a broker find (N=100 SEED=1)
	@exec $(PYTHON_IN_VENV) -m tests.mutants $(if $(N),--count $(N)) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.installed-dev ## speed on this machine against the floor
	@exec $(PYTHON_IN_VENV) -m benchmarks

bench-stages: $(VENV)/.installed-dev ## the CPU of each stage for one event, without Kafka (PROFILE=act prints its functions)
	@exec $(PYTHON_IN_VENV) -m benchmarks.stages $(if $(PROFILE),--profile $(PROFILE))

bench-audit: $(VENV)/.installed-dev ## size and speed of the audit store, and every shipped question (N=1000000 cases)
	@exec $(PYTHON_IN_VENV) -m benchmarks.audit $(if $(N),--cases $(N))

bench-waits: $(VENV)/.installed-dev ## how fast one subject goes, and how long an idle pipeline takes for an event
	@exec $(PYTHON_IN_VENV) -m benchmarks.waits

bench-flat: $(VENV)/.installed-dev ## what an admission and a settlement cost, with few and with many others in the period
	@exec $(PYTHON_IN_VENV) -m benchmarks.flat

bench-state: $(VENV)/.installed-dev ## tables on disk that remember much: speed, memory, start and restore (N=10000000 facts)
	@exec $(PYTHON_IN_VENV) -m benchmarks.state $(if $(N),--facts $(N))

bench-stores: $(VENV)/.installed-dev ## RocksDB against LMDB on the access pattern of the tables (N=1000000 facts)
	@exec $(PYTHON_IN_VENV) -m benchmarks.stores $(if $(N),--facts $(N))

chaos: $(VENV)/.installed-dev ## break the running pipeline, count what is lost or doubled (SCENARIO=kill-storm SEED=7; long: N=200)
	@exec $(PYTHON_IN_VENV) -m tests.chaos $(SCENARIO) $(if $(SEED),--seed $(SEED)) $(if $(N),--size $(N))

simulate: $(VENV)/.installed-dev ## a hundred thousand small worlds of the decision core, each broken in its own way
	@exec $(PYTHON_IN_VENV) -m tests.simulator --seeds 100000

night: $(VENV)/.installed-dev ## play a simulated night and print its table (NIGHT=provider_away SEED=7), or random ones (RANDOM_NIGHTS=1000)
	@exec $(PYTHON_IN_VENV) -m tests.nights $(NIGHT) $(if $(SEED),--seed $(SEED)) $(if $(RANDOM_NIGHTS),--random $(RANDOM_NIGHTS))

test-chart: $(VENV)/.installed-dev ## check the Helm chart, the compose file and the Dockerfile
	@exec sh deploy/test-chart.sh

generate: $(VENV)/.installed-dev ## write the files that follow from the specifications: chart, compose file, charter schema, dashboards, reference pages
	@exec $(PYTHON_IN_VENV) -m tests.generated

screenshots: $(VENV)/.installed-dev ## take the screenshots of docs/how-to/console.md, while `make up` runs
	@exec $(PYTHON_IN_VENV) -m tests.console.screenshots

lock: $(VENV)/.installed-dev ## bring requirements/*.txt up to date with pyproject.toml
	@exec sh .ci/lock

clean: ## remove .venv, caches and the local stack's data (stop `make up` first)
	@rm -rf $(VENV) .nightdesk .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed-%: requirements/%.txt pyproject.toml .ci/install
	@.ci/install $*
	@touch $@
