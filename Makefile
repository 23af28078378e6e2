# Two commands, each of which does all its own set-up and can be repeated:
#   make train [ARGS="loss=laplacian"]    fit a picture
#   make test                             run the tests, some minutes on 2 cores; `make test-all` runs the slow ones too
.PHONY: train test test-slow test-all nightly lint clean
PYTHON ?= python3
ARGS ?=

train: .venv/installed
	.venv/bin/python train.py $(ARGS)

# A thread for each worker: small matrices gain nothing from more. A worker for each of two cores, as each takes most of a
# core-minute to import, to collect and to compile; one more for the slow tests, since many of them wait.
PYTEST = OMP_NUM_THREADS=1 .venv/bin/python -m pytest
PARALLEL = --dist worksteal -n

test: .venv/installed-dev
	$(PYTEST) $(PARALLEL) 2 $(ARGS)

# What waits for processes, servers and clocks: sweeps side by side, Slurm, searches, real kills, long samples.
test-slow: .venv/installed-dev
	$(PYTEST) $(PARALLEL) 3 -m 'slow and not nightly' $(ARGS)

# Both, and the share of the lines that they ran, but for lines that only other processes ran.
test-all: .venv/installed-dev
	$(MAKE) test ARGS='--cov=sinefield --cov-report= $(ARGS)'
	$(MAKE) test-slow ARGS='--cov=sinefield --cov-append --cov-report= $(ARGS)'
	@echo "line coverage: $$(.venv/bin/coverage report --format=total) %"

# What takes too long for every day: kills at every moment, long runs; under an hour. docs/reliability.md has figures.
# And mistakes made on purpose in the mathematics, which the tests must catch.
nightly: .venv/installed-dev
	$(if $(ARGS),,OMP_NUM_THREADS=1 .venv/bin/python tests/mutations.py)
	$(PYTEST) -m nightly -rs -s $(ARGS)

lint: .venv/installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

# Installed anew whenever pyproject.toml changes.
.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sinefield needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: .venv/installed
	.venv/bin/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
