# The commands of the house. `make` prints them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check --quiet
DATA ?= data
WORKERS ?= 2

export OMP_NUM_THREADS ?= 1
export PYTHONDONTWRITEBYTECODE ?=

.PHONY: help setup setup-test demo test check bench bench-hub browser tour format clean

help: ## Print this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed (set PYTHON=...)."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) was found. Set PYTHON=python3.12, say."; exit 1; }
	@echo "==> virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml constraints.txt
	@echo "==> installing Gatekeeper with its inference runtime (the first time this downloads about 300 MB)"
	@$(PIP) -c constraints.txt -e '.[inference]'
	@touch $@

$(VENV)/.test: $(VENV)/.run
	@echo "==> installing what the tests need"
	@$(PIP) -c constraints.txt -e '.[inference,test]'
	@touch $@

setup: $(VENV)/.run ## Virtual environment with everything needed to run

setup-test: $(VENV)/.test
	@tests/need-packages

demo: setup ## Migrate, seed and start a server with the bundled model; prints address and sign-in
	@GATEKEEPER_DATA_DIR=$(DATA) $(BIN)/gatekeeper demo

check: setup-test ## Format, lint, types, layers, templates, policies, migrations, shape
	@echo "==> ruff"; $(BIN)/ruff format --check . && $(BIN)/ruff check .
	@echo "==> mypy"; $(BIN)/mypy
	@echo "==> layers"; $(BIN)/lint-imports
	@echo "==> templates"; $(BIN)/djlint --check --quiet gatekeeper/web/templates && $(BIN)/djlint --lint --quiet gatekeeper/web/templates
	@echo "==> policies"; $(BIN)/gatekeeper policies check
	@echo "==> migrations and shape"; $(BIN)/pytest -n $(WORKERS) --dist loadfile tests/alembic tests/shape

test: setup-test check ## All checks and tests, browser and wire tests included; WORKERS=2 at once
	@echo "==> rooms, doors, inference"; $(BIN)/pytest -n $(WORKERS) --dist worksteal tests --ignore=tests/alembic --ignore=tests/shape --ignore=tests/wire --ignore=tests/journeys
	@echo "==> the public clients on a real socket"; $(BIN)/pytest -n $(WORKERS) --dist loadfile -p no:randomly tests/wire
	@rm -rf .out/looked-at
	@echo "==> the whole story in a browser"; $(BIN)/pytest -n $(WORKERS) --dist loadfile -p no:randomly tests/journeys --ignore=tests/journeys/test_whole.py
	@echo "==> all pages together"; $(BIN)/pytest tests/journeys/test_whole.py

bench: setup-test ## Ratios of speed and memory (docs/performance.md tells how to read them)
	@$(BIN)/python bench/engine.py
	@$(BIN)/python bench/gate.py
	@$(BIN)/python bench/decision.py
	@$(BIN)/python bench/provenance.py
	@echo "==> whole hub: bench/hub.py --part NAME, or all of it in about ten minutes with make bench-hub"

bench-hub: setup-test ## Downloads, uploads, listings, and a peer, at full size (9 GiB of disk, ten minutes)
	@$(BIN)/python bench/hub.py

browser: setup-test ## Lighthouse on the portal's pages (ten minutes; not part of make test)
	@tests/need-packages browser
	@$(BIN)/python -m tests.browser.judge

tour: setup-test ## Pictures of every page, into docs/tour.md
	@$(BIN)/python -m tests.journeys.tour

format: setup-test ## Rewrite code and templates in the house's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix . && $(BIN)/djlint --reformat --quiet gatekeeper/web/templates

clean: ## Remove the virtual environment (not the data)
	@rm -rf $(VENV)
