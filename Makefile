# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/incident-pipeline

.DEFAULT_GOAL := help
.PHONY: help install demo ui test test-all coverage lint types format clean

help:
	@echo "make demo      install, play two example incidents through the pipeline, show what came out"
	@echo "make test      install what tests need, run all of them"
	@echo "make install   .venv with the incident-pipeline command"
	@echo "make ui        receiver and Dagster UI on the data of the demo"
	@echo "make test-all  the tests without sampling (about an hour)"
	@echo "make coverage  which lines the tests in one process reach; fails below 90 %"
	@echo "make lint      linters, import rules and types alone"
	@echo "make clean     remove .venv and what tools left"

install: .venv/installed

# modules are compiled when they are first imported: most of what is installed here never is
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable

.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv (the first time takes a few minutes) ..."
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(INSTALL) .
	@touch $@
	@echo "Installed: $(RUN)"

# the peers that tests talk to come from elsewhere, so they are fetched in the meantime
.venv/installed-for-tests: pyproject.toml constraints.txt
	@echo "Installing into .venv, with what the tests need (the first time takes a few minutes) ..."
	@test -d .venv || $(PYTHON) -m venv .venv
	@PYTHON="$(PYTHON)" sh tests/system_packages.sh & $(INSTALL) '.[test]' && wait $$!
	@touch .venv/installed $@

demo: install
	@$(RUN) replay examples/payments-bad-deploy
	@echo
	@$(RUN) replay examples/checkout-no-change
	@echo
	@echo "Next:"
	@echo "  make ui                                    the Dagster UI on these two incidents: lineage, evidence, re-runs"
	@echo "  $(RUN) incidents list      what is stored; 'show ID' and 'timeline ID' go on from there"
	@echo "  $(RUN) kb search 'connection pool exhausted'"

ui: install
	@echo "Open http://127.0.0.1:3000 when it says ready; Ctrl-C stops it."
	@$(RUN) up

lint: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

IN_ONE_PROCESS := tests/assets tests/connectors tests/integration tests/properties tests/unit -n auto --dist worksteal

# what runs in one process first, on all cores; what starts the whole responder after it, one at a time
test: lint
	$(BIN)/python -m pytest $(IN_ONE_PROCESS)
	$(BIN)/python -m pytest tests/e2e

test-all: lint coverage
	$(BIN)/python -m pytest --whole --timeout 1800

# apart from `test`, which it would slow down by a third
coverage: .venv/installed-for-tests
	$(BIN)/python -m pytest $(IN_ONE_PROCESS) --cov --cov-report=term:skip-covered

format: .venv/installed-for-tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
