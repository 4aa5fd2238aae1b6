# `make demo` runs the quickstart sweep, `make test` runs every check, `make test-faults` the long ones of
# what may die. All set up what they need in .venv, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-faults setup clean

demo: $(READY)
	$(BIN)/glad-ray sweep sweeps/quickstart.py

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest

# Everything that can fail, killed or filled for real; writes docs/faults.md. File systems are mounted for it, which
# takes root, or a namespace in which one is root.
test-faults: $(READY)
	FAULTS_PAGE=docs/faults.md $(if $(filter 0,$(shell id -u)),,unshare -rm) $(BIN)/python -m pytest tests/faults

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV)
