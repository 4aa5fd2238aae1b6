# `make demo` runs the quickstart sweep, `make prior` trains the bundled generator. `make test` checks every promise once,
# `make test-all` in every combination too, `make test-faults` whatever may be killed or filled, `make test-cluster`
# clusters of hosts that it makes. `make bench` measures speed. All set up what they need in .venv, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_FOR_CLUSTER := $(VENV)/.ready-for-cluster
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Of Debian: hosts that are reached and used by SSH, and an object store.
FOR_CLUSTER := openssh-server openssh-client rsync iproute2 netcat-openbsd tmux util-linux mount python3-swift memcached

# Three workers: some tests compute and others wait for processes. Their order is that of tests/conftest.py. Threads of a
# test that wait for one another sleep: where three tests share two cores, they would take the core that they wait for.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder --durations 80

# Every process of a test would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

# The files of a trained generator that runs know by a name.
PRIOR := glad_ray/stylegan/fashion_mnist_prior
PRIOR_STEPS := 2800

.PHONY: demo prior test test-all test-gpu test-full test-faults test-cluster test-oldest bench site dist setup clean

demo: $(READY)
	$(BIN)/glad-ray sweep sweeps/quickstart.py

# Trains the bundled generator anew, from Fashion-MNIST (apt-get install dataset-fashion-mnist), with one thread, as the
# one in the package was: other numbers of threads add in another order.
prior: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/glad-ray generator train --dataset fashion-mnist --storage runs/prior --in-process \
		--device cpu --set adversarial_steps=$(PRIOR_STEPS) --set autoencoder_weight=2 --set guidance_weight=1
	cp runs/prior/generators/*/generator.json runs/prior/generators/*/generator.safetensors \
		runs/prior/generators/*/card.json $(PRIOR)

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST)

test-all: test test-full

# A GPU rehearsed on the CPU: a part of what `make test-all` adds. All of it computes: a worker for each of two cores.
test-gpu: $(READY)
	$(PYTEST) --numprocesses 2 -m full tests/gpu_rehearsal tests/test_gpu_rehearsal.py

# What `make test-all` adds to `make test`.
test-full: $(READY)
	$(PYTEST) -m full --ignore tests/faults --ignore tests/cluster

# Everything that can fail, killed or filled for real; writes docs/faults.md. File systems are mounted for it, which
# takes root, or a namespace in which one is root.
test-faults: $(READY)
	$(if $(filter 0,$(shell id -u)),,unshare -rm) $(BIN)/python -m pytest -m fault tests/faults --page docs/faults.md

# ray up, ray submit, ray job and ray down as a user does it, between hosts that are namespaces on this machine, with
# results in an object store too; writes docs/test-cluster.md. Hosts take root.
test-cluster: $(READY_FOR_CLUSTER)
	tests/cluster/install.sh $(FOR_CLUSTER)
	$(SUDO) env OMP_NUM_THREADS=1 $(BIN)/python -m pytest -s tests/cluster --page docs/test-cluster.md

# The oldest packages that pyproject.toml allows, in an environment of their own of some 6 GB: a sweep on Ray, and tests of
# what other packages do for this one. Continuous integration does not run it; CONTRIBUTING.md says when it was run.
OLDEST := .venv-oldest
test-oldest:
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt \
		--editable . beartype jsonschema pytest pytest-timeout pytest-xdist
	RAY_ADDRESS= $(OLDEST)/bin/glad-ray sweep sweeps/quickstart.py --small --address local --storage $(OLDEST)/quickstart
	$(OLDEST)/bin/python -m pytest tests/results tests/storage/test_storage.py tests/spec/test_records.py \
		tests/test_coresets.py tests/optimisers tests/test_search_command.py tests/test_documents.py \
		tests/api/test_removal.py

# The speed of the core on a CPU, in under 20 minutes on two cores; writes docs/performance.md. REFERENCE=<folder> measures
# a checkout of the released code too, BEFORE=<folder> another checkout of this package.
bench: $(READY)
	$(BIN)/python benchmarks/core_speed.py --page docs/performance.md \
		$(if $(REFERENCE),--reference $(REFERENCE)) $(if $(BEFORE),--before $(BEFORE))

# The documents as a site, in docs/_build/html.
site: $(READY)
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/trees docs docs/_build/html

# The wheel and the source archive, in dist; nothing is fetched for it.
dist: $(READY)
	$(BIN)/python -m build --no-isolation --outdir dist .

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
	rm -rf $(VENV) $(OLDEST)
