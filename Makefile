# Two commands do all the set-up: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/incident-pipeline

.DEFAULT_GOAL := help
.PHONY: help install demo ui test test-all lint types format clean

help:
	@echo "make demo      install, play two example incidents through the pipeline, show what came out"
	@echo "make test      install what tests need, run all of them"
	@echo "make install   .venv with the incident-pipeline command"
	@echo "make ui        receiver and Dagster UI on the data of the demo"
	@echo "make test-all  the tests without sampling (about an hour)"
	@echo "make lint      linters, import rules and types alone"
	@echo "make clean     remove .venv and what tools left"

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@echo "Installing into .venv (the first time takes a few minutes) ..."
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@
	@echo "Installed: $(RUN)"

.venv/installed-for-tests: .venv/installed
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	@sh tests/system_packages.sh
	@touch $@

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

# what runs alone first, on all cores; what starts real processes after it, one at a time
test: lint
	$(BIN)/python -m pytest tests/assets tests/connectors tests/properties tests/unit -n auto --cov --cov-report=
	$(BIN)/python -m pytest tests/integration tests/e2e --cov --cov-append --cov-report=term:skip-covered

test-all: lint
	$(BIN)/python -m pytest --whole --timeout 1800

format: .venv/installed-for-tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
