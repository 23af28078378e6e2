# Two commands, each of which does all its own set-up and can be repeated:
#   make train [ARGS="loss=laplacian"]    fit a picture
#   make test                             run the tests
.PHONY: train test nightly lint clean
PYTHON ?= python3
ARGS ?=

train: .venv/installed
	.venv/bin/python train.py $(ARGS)

# Two workers with a thread each: small matrices gain nothing from more.
test: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist worksteal $(ARGS)

# What takes too long for every day: kills at every moment, long runs; under an hour. docs/reliability.md has figures.
nightly: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -m nightly -rs -s $(ARGS)

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
	rm -rf .venv build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
