# Everything runs in .venv, which is made on first use; nothing else has to be installed
# beforehand but Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/.cache/servers/usr/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo check format lint types imports docker-lint test deployed lowest newest bench soak histories fuzz coverage \
	dashboards mutate-rules alarms wheel lock release-check clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.run ## Write a small live job tree and serve its metrics on port 10170
	@$(BIN)/datatrove-exporter demo $(ARGS)

check: lint types imports docker-lint lowest test ## All checks and tests, on a clean install of the built wheel

format: $(VENV)/.dev ## Rewrite the code as the formatter has it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.dev ## Formatting and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## The import rules in pyproject.toml
	$(BIN)/lint-imports

docker-lint: $(VENV)/.dev ## The Dockerfile
	$(BIN)/hadolint Dockerfile

test: wheel .cache/servers/ready .cache/browser/ready .cache/fuse/ready .cache/slurm/ready ## Tests, against real servers (ARGS="-k name" to choose)
	@echo "Running the tests, two files at a time; all of them take half an hour or more"
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

deployed: wheel .cache/servers/ready ## Start all of deploy/: image, compose, systemd, pods (as root, ten minutes)
	scripts/install-containers
	scripts/build-images .cache/containers
	$(BIN)/pytest $(ARGS) tests/deployed

lowest: wheel .cache/lowest/ready .cache/servers/ready ## The fast tests with the lowest versions that pyproject.toml allows
	$(BIN)/uv pip install --quiet --python .cache/lowest --no-deps --reinstall dist/*.whl
	.cache/lowest/bin/python -P -m pytest -n 2 --dist loadfile -p no:cacheprovider tests/unit \
		-k "not schemathesis"  # which asks for newer versions

newest: wheel .cache/servers/ready .cache/browser/ready .cache/fuse/ready .cache/slurm/ready ## The tests with the newest versions of everything, once a week
	scripts/install-newest .cache/newest $(BIN)/python
	$(BIN)/uv pip install --quiet --python .cache/newest --no-deps --reinstall dist/*.whl
	.cache/newest/bin/python -P -m pytest -n 2 --dist loadfile -p no:cacheprovider $(ARGS)

bench: wheel .cache/fuse/ready .cache/servers/ready ## Benchmarks: ratios within one run
	scripts/install-strace
	$(BIN)/python tests/benchmarks/scaling.py
	$(BIN)/python tests/benchmarks/scrape.py
	$(BIN)/python tests/benchmarks/pages.py
	$(BIN)/python tests/benchmarks/status.py
	$(BIN)/python tests/benchmarks/scan.py
	$(BIN)/python tests/benchmarks/abuse.py

soak: wheel .cache/fuse/ready ## A hundred thousand scans under faults, and very many jobs and markers
	$(BIN)/python tests/benchmarks/soak.py 100000
	HOSTILE_MARKERS=1000000 HOSTILE_JOBS=100000 $(BIN)/pytest --timeout 1200 tests/end_to_end/test_hostile.py -k full

HISTORIES ?= 2000
histories: wheel .cache/servers/ready .cache/fuse/ready ## Thousands of random job histories on each backend, an hour (HISTORIES=2000 each)
	HISTORIES=$(HISTORIES) $(BIN)/pytest -n 2 --dist load tests/storage/test_histories.py \
		tests/storage/test_log_histories.py $(ARGS)

FUZZ_SECONDS ?= 300
fuzz: wheel ## Coverage-guided fuzzing of configuration and job folders (FUZZ_SECONDS=300 each)
	$(BIN)/pip install --quiet --constraint constraints.txt --group fuzz
	mkdir -p .cache/fuzz/executor .cache/fuzz/config
	cp config.example.yaml tests/data/configs/*.yaml .cache/fuzz/config
	cd .cache/fuzz && ../../$(BIN)/python ../../tests/fuzz/fuzz_executor.py \
		-max_total_time=$(FUZZ_SECONDS) executor
	cd .cache/fuzz && ../../$(BIN)/python ../../tests/fuzz/fuzz_config.py \
		-max_total_time=$(FUZZ_SECONDS) config

coverage: wheel .cache/servers/ready .cache/browser/ready .cache/fuse/ready .cache/slurm/ready ## Which lines and branches the tests run
	$(BIN)/pip install --quiet --constraint constraints.txt --group coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

dashboards: $(VENV)/.dev ## Write deploy/grafana/dashboards anew, and the copies for Helm and kustomize
	$(BIN)/python -W ignore::DeprecationWarning deploy/grafana/source
	scripts/copy-rules

mutate-rules: $(VENV)/.dev .cache/servers/ready ## Change every rule and see its tests fail (half an hour)
	$(BIN)/python scripts/mutate_rules.py $(ARGS)

alarms: $(VENV)/.dev .cache/servers/ready ## How often healthy jobs are called stalled, how soon dead ones, and a day's messages (five minutes)
	$(BIN)/python tests/benchmarks/alarms.py $(ARGS)
	$(BIN)/python tests/benchmarks/noise.py

wheel: $(VENV)/.dev ## Build the wheel and install it into .venv
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --quiet --wheel
	$(BIN)/pip install --quiet --force-reinstall --no-deps dist/*.whl

lock: $(VENV)/.dev ## Choose the versions in constraints.txt anew
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group dev --group fuzz --group coverage --group release \
		--no-annotate --custom-compile-command 'make lock' --output-file constraints.txt \
		pyproject.toml

release-check: $(VENV)/.dev ## See whether what is committed could be released, and leave it in dist
	$(BIN)/python scripts/release_check.py dist

clean: ## Remove everything that the other targets made
	rm -rf $(VENV) .cache dist build tests/support/browser/node_modules

# One that is half made, or of a Python or a pip that is too old, is made anew.
USABLE := import sys, pip; \
	print(sys.version_info >= (3, 11) and [*map(int, pip.__version__.split(".")[:2])] >= [25, 1])
ifneq ($(shell $(BIN)/python -c '$(USABLE)' 2>/dev/null),True)
.PHONY: $(BIN)/python
endif

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: set PYTHON")'
	@echo "Making $(VENV), with Python and pip of its own"
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt $(shell find exporter -type f -not -name "*.pyc")
	@echo "Installing the exporter into $(VENV)"
	$(BIN)/pip install --quiet --constraint constraints.txt .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing the exporter and what the checks need into $(VENV) (a minute or two)"
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev .
	@touch $@

.cache/servers/ready: scripts/install-servers $(VENV)/.dev
	@echo "Fetching Prometheus, Alertmanager, HDFS, Azurite and web servers (some minutes, once)"
	scripts/install-servers .cache/servers $(BIN)/python

.cache/lowest/ready: scripts/install-lowest pyproject.toml constraints.txt $(VENV)/.dev
	@echo "Installing the lowest versions that pyproject.toml allows (a minute, once)"
	scripts/install-lowest .cache/lowest $(BIN)/python

.cache/browser/ready: scripts/install-browser tests/support/browser/package-lock.json
	@echo "Installing Chromium, Java and what checks pages (some minutes, once)"
	scripts/install-browser $@

.cache/fuse/ready: scripts/install-fuse
	@echo "Fetching file systems in user space"
	scripts/install-fuse .cache/fuse

.cache/slurm/ready: scripts/install-slurm
	@echo "Fetching Slurm"
	scripts/install-slurm .cache/slurm
