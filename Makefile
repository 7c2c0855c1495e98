# Everything that people and CI call. The environment is made on the first call and kept up to date by its lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := convoy-demo
WORKERS ?= 2
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo setup test test-again test-quick check fmt bench testbed lock clean
.DEFAULT_GOAL := help

help: ## Shows the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.demo: pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint requirements.lock --editable '.[camnet,train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint requirements.lock --editable '.[dev]'
	@touch $@

setup: $(VENV)/.dev ## Makes the environment for development

demo: $(VENV)/.demo ## Runs CamNet across three embedded sites and shows where the pictures are
	@test -e $(DEMO)/.convoy/sites.yaml || $(BIN)/convoy init $(DEMO)
	@cd $(DEMO) && ../$(BIN)/convoy usecase run camnet

test: $(VENV)/.dev ## Runs every test; what needs something that is not here is skipped aloud
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope --no-loadscope-reorder

test-again: $(VENV)/.dev ## Runs what failed in the last run of the tests once more
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none

test-quick: $(VENV)/.dev ## Runs the tests that need a second or less each
	$(BIN)/python -m pytest tests/unit tests/architecture -m "not slow"

test-faults: $(VENV)/.dev ## Breaks real sites at random, twenty times, with new seeds each time
	$(BIN)/python -m pytest tests/acceptance/test_random_faults.py --repetitions 20 --seed $$(date +%s)

check: $(VENV)/.dev ## Formatting, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: $(VENV)/.dev ## Formats the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Measures Convoy and its peers in the same run
	$(BIN)/python -m benchmarks.orchestration
	$(BIN)/python -m benchmarks.slurm --stop
	$(BIN)/python -m benchmarks.staging --stop

testbed: ## Brings up two practice SLURM clusters on this machine (needs root)
	tests/testbed/sites.sh up agh lrz
	tests/testbed/sites.sh status

lock: ## Renews requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --all-extras pyproject.toml --output-file requirements.lock

clean: ## Removes the environment and the demo
	rm -rf $(VENV) $(DEMO)
