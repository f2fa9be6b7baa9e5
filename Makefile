# `make demo` and `make test` are all the set-up there is: each makes its own
# virtual environment in .venv from pyproject.toml and needs only Python and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint types shells unit faults servers bench format completions docs reference screenshots
.PHONY: lock audit dist pyz sbom image shipped release clean
.DEFAULT_GOAL := test

$(BIN)/python:
	@echo "making a virtual environment in $(VENV) …" >&2
	@$(PYTHON) -m venv $(VENV)

# The stamps make a second call start at once; a changed pyproject.toml installs again.
$(VENV)/.demo: $(BIN)/python pyproject.toml
	@echo "installing asyncmq-cli, AsyncMQ and a Redis server into $(VENV): about a minute, the first time …" >&2
	@$(PIP_INSTALL) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	@echo "installing asyncmq-cli and the tools of its tests into $(VENV): about a minute, the first time …" >&2
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.dev
	$(PIP_INSTALL) --editable '.[bench]'
	@touch $@

$(VENV)/.checkers: $(VENV)/.dev
	$(PIP_INSTALL) --editable '.[checkers]'
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/asyncmq-cli demo

test: lint types unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

# The tests press TAB in real shells. Where one is missing and cannot be installed, they fail and say so.
shells:
	@tests/support/install-shells bash zsh fish || true

# More at a time than there are cores: many tests wait for something most of their time. Bytecode is kept,
# whatever the environment says: programs are started by the hundred.
unit: export PYTHONDONTWRITEBYTECODE :=
unit: $(VENV)/.dev shells
	$(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(PYTEST_ARGS)

# Every fault, many times over: a quarter of an hour. The seed makes the same random choices again.
FAULTS_SEED ?= $(shell date +%s)
faults: export FAULTS := whole
faults: export FAULTS_SEED := $(FAULTS_SEED)
faults: export FAULTS_FIGURES := $(CURDIR)/.faults.ndjson
faults: $(VENV)/.checkers shells
	@echo FAULTS_SEED=$(FAULTS_SEED)
	rm -f $(FAULTS_FIGURES)
	$(BIN)/python -m pytest --numprocesses 2 --dist load -m "faults or extended" $(PYTEST_ARGS)
	$(BIN)/python -m tests.faults.reliability $(FAULTS_FIGURES) docs/reliability.md $(SUITE_FIGURES)

# The whole suite on several servers: make servers SERVERS="/usr/bin/redis-server /opt/valkey/valkey-server".
# The next `make faults` writes the result into docs/reliability.md.
SUITE_FIGURES := $(CURDIR)/.servers.ndjson
servers: export SUITE_FIGURES := $(SUITE_FIGURES)
servers: $(VENV)/.dev shells
	rm -f $(SUITE_FIGURES)
	for server in $(SERVERS); do \
		TEST_REDIS_SERVER=$$server $(BIN)/python -m pytest --numprocesses 3 --dist worksteal $(PYTEST_ARGS) || exit 1; \
	done

# As many jobs as a production queue holds; `make bench N=100000` for a quick look.
N ?= 1000000
bench: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks --jobs $(N) $(BENCH_ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is written from the code and checked in: the scripts of the shells.
completions: $(VENV)/.dev
	$(BIN)/python -m asyncmq_cli.completion completions

# The site, in site/. Fails on a link or an anchor that leads nowhere.
docs: $(VENV)/.dev
	$(BIN)/python -m mkdocs build --strict

# What is written from the code and checked in: docs/commands.md, the man page, tables of other pages and the picture of the layers.
reference: $(VENV)/.dev
	$(BIN)/python -m tools.reference

# The pictures of the README, in docs/images, from real commands in the demo.
screenshots: $(VENV)/.dev
	$(BIN)/python -m tools.screenshots

# The exact versions of all dependencies of the tool and its exporter, for every supported Python, with their digests.
# `make lock LOCK_ARGS=--upgrade` takes the newest of each.
lock: $(VENV)/.dev
	$(BIN)/python -m uv pip compile pyproject.toml --universal --python-version 3.10 --no-python-downloads \
		--generate-hashes --extra exporter --custom-compile-command 'make lock' --quiet --output-file requirements.lock $(LOCK_ARGS)

# Known vulnerabilities of the locked versions. Fails also if the database does not answer.
audit: $(VENV)/.dev
	$(BIN)/python -m tools.audit requirements.lock $(AUDIT_ARGS)

# The wheel and the sdist in dist/. Each is tried in a clean environment of every supported Python that is installed.
dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m tests.release.smoke dist $(DIST_ARGS)

# The tool and its dependencies in one file, for every supported Python that is installed.
pyz: $(VENV)/.dev
	$(BIN)/python -m tools.pyz dist/asyncmq.pyz

# The bill of materials of the lock, as CycloneDX.
sbom: $(VENV)/.dev
	mkdir -p dist
	$(BIN)/python -m cyclonedx_py requirements requirements.lock --output-reproducible --output-file dist/sbom.json

# The container image, built with podman or docker.
IMAGE ?= asyncmq-cli
image:
	$(or $(shell command -v podman),$(shell command -v docker),$(error neither podman nor docker is here)) \
		build --tag $(IMAGE) --file Containerfile .

# Check what is shipped beside the wheel (contrib/, the image, the release workflow) with the checkers made for each. If
# buildah and debootstrap are installed, the image is built and run.
shipped: export FAULTS := whole
shipped: $(VENV)/.checkers
	$(BIN)/python -m pytest tests/release -k "contrib or workflow or image or monitors" $(PYTEST_ARGS)

release: test audit dist pyz sbom

clean:
	rm -rf $(VENV) dist build site .mypy_cache .pytest_cache .ruff_cache .hypothesis
