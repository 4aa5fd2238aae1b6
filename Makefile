# `make demo` runs the quickstart sweep, `make test` runs every check, `make test-faults` the long ones of
# what may die, `make test-cluster` a cluster of hosts that it makes. All set up what they need in .venv, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_FOR_CLUSTER := $(VENV)/.ready-for-cluster
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Of Debian: hosts that are reached and used by SSH, and an object store.
FOR_CLUSTER := openssh-server openssh-client rsync iproute2 netcat-openbsd tmux util-linux mount python3-swift memcached

.PHONY: demo test test-faults test-cluster setup clean

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

# ray up, ray submit, ray job and ray down as a user does it, between hosts that are namespaces on this machine, with
# results in an object store too; writes docs/test-cluster.md. Hosts take root.
test-cluster: $(READY_FOR_CLUSTER)
	tests/cluster/install.sh $(FOR_CLUSTER)
	$(SUDO) env CLUSTER_PAGE=docs/test-cluster.md OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/cluster

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[dev]'
	@touch $@

$(READY_FOR_CLUSTER): $(READY)
	$(INSTALL) '.[dev,cluster]'
	@touch $@

clean:
	rm -rf $(VENV)
