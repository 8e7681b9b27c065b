# Heeler's tasks. Everything is installed into .venv; nothing outside the project is changed without being said.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NAME ?= heeler
# under sudo what is installed belongs to the person who called
HAND_OVER := if [ -n "$$SUDO_UID" ]; then chown -R "$$SUDO_UID:$$SUDO_GID" $(VENV); fi

.PHONY: help docs simulate soak replay peers up install test lint types bench reference clean tools down delete

## help: these lines
help:
	@sed -n 's/^## \(.*\)/  make \1/p' Makefile

## up: set-up, cluster, example app; the last lines are the app's address and three kubectl commands
up: install
	@$(BIN)/python scripts/prerequisites.py
	@$(BIN)/python scripts/example.py --name $(NAME)

## install: only .venv/bin/heeler
install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Heeler needs Python 3.11 or newer; this is %d.%d. Set PYTHON=..." % sys.version_info[:2])'
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: sudo apt-get install python3-venv"; exit 1; }
	@echo "Installing Heeler into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@$(HAND_OVER)

tools: $(VENV)/.tools

$(VENV)/.tools: $(VENV)/.installed requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@
	@$(HAND_OVER)

## test: set-up, tools, the whole test suite
test: tools
	@$(BIN)/python scripts/prerequisites.py --optional
	$(BIN)/python -m pytest

## soak: what takes long: fixtures interrupted 300 times; ten minutes of kill -9 by a seed (needs root; SEED=N)
SEED ?= 1
soak: tools
	HEELER_INTERRUPTS=300 $(BIN)/python -m pytest tests/peers/test_pytest_plugin.py -k interrupted --timeout 900
	$(BIN)/python -m tests.containers.chaos --seconds 600 --seed $(SEED) --keep soak-logs

## replay: all recorded behaviour of controllers and scheduler, replayed (about ten minutes; AREA=deployment for one)
AREA ?=
replay: tools
	$(BIN)/python -m tests.replay.control -v --area "$(AREA)"

## peers: upstream's own programs, built into build/peers (Go; slow when cold), on Heeler and against it (CASES=N, SEED=N)
CASES ?= 1000
HELM ?= $(shell command -v helm)
peers: tools
	$(BIN)/python scripts/peers.py
	$(BIN)/python -m pytest tests/peers/test_upstream_programs.py tests/peers/test_negotiation.py tests/peers/test_default_roles.py
	$(BIN)/python -m tests.peers.differential --cases $(CASES) --seed $(SEED)
	$(BIN)/python -m tests.replay.control --sample 5 --apiserver upstream
	$(BIN)/python -m tests.replay.control --sample 5 --components upstream
	$(BIN)/python -m tests.replay.control tests/reference/stories/changed.jsonl.gz
	$(BIN)/python -m tests.peers.scheduling_differential --seed $(SEED)
	$(BIN)/python -m tests.peers.device_differential --seed $(SEED)
	@if [ -z "$(HELM)" ]; then echo "no helm in PATH: charts are not compared (HELM=...)"; exit 0; fi; \
	HELM=$(HELM) $(BIN)/python -m tests.peers.charts_differential --recorded && \
	HELM=$(HELM) $(BIN)/python -m tests.peers.helm_fuzz --kinds programs,broken,formats,values --cases $(CASES) --seed $(SEED)

## simulate: many seeds of the simulation with faults (SEEDS=10000, FIRST=0); prints each that fails, and how to run it again
SEEDS ?= 10000
FIRST ?= 0
simulate: tools
	$(BIN)/python -m heeler.testing.seeds --seeds $(SEEDS) --first $(FIRST)

## lint, types: the checks on the code
lint: tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: tools
	$(BIN)/mypy

## bench: figures, printed with the machine's size
bench: tools
	$(BIN)/python bench/run.py

## docs: what is made from the code, and the site (site/)
docs: tools
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	$(BIN)/python scripts/docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

## reference: refresh tests/reference from REFERENCE=DIR
reference: tools
	$(BIN)/python scripts/reference.py $(REFERENCE)

## down, delete: stop the cluster that `make up` made (its data stay), or delete it (NAME=N)
down:
	$(BIN)/heeler down --name $(NAME)

delete:
	$(BIN)/heeler delete --name $(NAME)

## clean: remove .venv and what the checks leave
clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
