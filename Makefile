# Two commands for a newcomer: `make run` tries the gateway, `make test` proves it.
# Everything goes into .venv and comes from PyPI; only `make test` may install Debian packages (the
# peers of the live tests), and only where it is allowed to.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test unit live lint format bench wheel docs clean

run: $(VENV)/.installed ## the gateway with its sandbox; e.g. make run ARGS=--tls
	$(BIN)/twistd --nodaemon --pidfile= rtcgw --sandbox $(ARGS)

test: $(VENV)/.test-installed ## everything: unit, flow and live tests
	$(BIN)/python tools/install_peers.py
	$(BIN)/python tools/run_tests.py

unit: $(VENV)/.test-installed ## unit and flow tests only, under half a minute
	$(BIN)/python tools/run_tests.py unit

live: $(VENV)/.test-installed ## live tests only, with the peers that are there
	$(BIN)/python tools/run_tests.py live

lint: $(VENV)/.test-installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.test-installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.test-installed
	$(BIN)/python -m tests.bench $(ARGS)

wheel: $(VENV)/.test-installed ## dist/rtcgw-VERSION-py3-none-any.whl
	$(BIN)/python -m build --wheel

docs: $(VENV)/.test-installed ## what is written from the code: default file, reference, machine pictures
	$(BIN)/python tools/config_docs.py
	$(BIN)/python tools/protocol_docs.py
	$(BIN)/python tools/draw_machines.py

clean:
	rm -rf $(VENV) build dist *.egg-info _trial_temp* .mypy_cache .ruff_cache .hypothesis

# The stamps make a second run start at once: pip is asked again only when the dependencies change.
$(BIN)/python:
	$(PYTHON) tools/make_venv.py $(VENV)

$(VENV)/.installed: setup.py pyproject.toml | $(BIN)/python
	$(PIP) install --editable .
	touch $@

$(VENV)/.test-installed: setup.py pyproject.toml | $(BIN)/python
	$(PIP) install --editable '.[test]'
	touch $@ $(VENV)/.installed
