# Set-up, and the commands a developer needs. Needs Python >= 3.11 and a C compiler; takes the rest from the registries of
# Python and npm packages. PYTHON names the interpreter to use.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .build
SOURCES := $(wildcard ext/*.pyx ext/*.pxd) pyproject.toml
CONTRACTS := settlement/contracts
WITH_BIN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: demo up test check bench chaos setup clean
.DELETE_ON_ERROR:

demo: setup
	$(BIN)/abst demo
up: setup
	$(BIN)/abst up
test: setup
	$(BIN)/python -m pytest -m "not chaos" tests
chaos: setup
	$(BIN)/python -m pytest -m chaos tests
bench: setup
	$(BIN)/python -m pytest benchmarks --benchmark-only
check: setup
	$(BIN)/ruff check .
	$(WITH_BIN) cython-lint ext
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml $(patsubst ext/%.pyi,ext.%,$(wildcard ext/*.pyi))
	cd $(CONTRACTS) && $(WITH_BIN) npm run --silent lint
	$(BIN)/python -m pytest tests/test_layout.py

setup: $(STAMPS)/extensions $(STAMPS)/contracts

$(STAMPS)/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 in PATH: install it, or run 'make PYTHON=/path/to/python3'"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python lacks venv: install it (Debian: apt-get install python3-venv)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/extensions: $(STAMPS)/python requirements.lock $(SOURCES)
	@command -v $${CC:-cc} >/dev/null || { echo "No C compiler: install one (Debian: apt-get install gcc), or set CC"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]' \
		|| { echo "pip could not install: it needs the Python package index, and Python's headers (Debian: python3-dev)"; exit 1; }
	@touch $@

$(STAMPS)/contracts: $(STAMPS)/extensions $(CONTRACTS)/package-lock.json $(shell find $(CONTRACTS) -name '*.sol' -not -path '*/node_modules/*')
	$(BIN)/python -m venue.toolchain
	@touch $@

clean:
	rm -rf $(STAMPS) build *.egg-info ext/*.c ext/*.so $(CONTRACTS)/artifacts $(CONTRACTS)/node_modules
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
