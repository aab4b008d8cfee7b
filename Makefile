# make demo    the whole job on the bundled queries, offline
# make test    every test that this machine can run
# make check   format, lint, types, layers, unit tests: before a push
# make train   install what the trainers need, torch and TRL (some GB), so that `make test` tests them, too
# make fmt     format the code

PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1

.PHONY: demo test check train fmt record-demo clean

demo: .venv/.installed
	$(BIN)/kat demo

test: .venv/.installed-dev
	$(BIN)/python -m pytest

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/unit

train: .venv/.installed-train

fmt: .venv/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Records the demo's missing calls from live endpoints, e.g. make record-demo ARGS="--record MODEL=URL --record MODEL=URL"
record-demo: .venv/.installed
	KAT_HOME=$$(mktemp -d) sh -c '$(BIN)/kat demo $(ARGS); code=$$?; $(BIN)/kat db stop; rm -rf "$$KAT_HOME"; exit $$code'

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "KAT Data needs Python 3.11 or later: make demo PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.installed: .venv/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.installed-dev: .venv/.python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ .venv/.installed

.venv/.installed-train: .venv/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,train]'
	@touch $@

clean:
	-$(BIN)/kat db stop
	rm -rf .venv .kat .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
