# Everything runs in .venv, which the first target that needs it creates.
# The Python that creates it can be chosen: PYTHON=python3.12 make test
# An environment that is there keeps its Python; `make clean` removes it.

# Looked up only when an environment has to be created.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; \
	do $$p $(IS_SUPPORTED) 2>/dev/null && echo $$p && break; done)
IS_SUPPORTED = -c 'import sys; sys.exit(sys.version_info < (3, 11))'
BIN := .venv/bin
MATRIX := 1.6.1 1.7.2 1.8.0 1.9.1
# CONSTRAINTS=/dev/null installs the newest release of everything.
CONSTRAINTS := constraints.txt

# One thread per pytest worker: two workers share the cores as two processes.
PYTEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST := python -m pytest -n 2 --dist loadgroup

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-matrix test-lowest test-kernels test-engines lint
.PHONY: format types docs gallery bench bench-smoke bench-tables regret test-package clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

demo: .venv/.plot ## run the main job on real data and print its table (2 minutes)
	@echo "Searching beta and balance on two tables: about 2 minutes on two cores."
	$(BIN)/python -m benchmarks.demo

test: .venv/.installed ## run the tests
	$(PYTEST_ENV) $(BIN)/$(PYTEST)

test-slow: .venv/.installed ## run the tests, the slow ones too
	$(PYTEST_ENV) $(BIN)/$(PYTEST) -m "not gpu and not package"

test-matrix: ## run the scikit-learn contract on every supported version
	@$(MAKE) --keep-going $(MATRIX:%=test-sklearn-%)

test-sklearn-%: .venvs/sklearn-%/.installed
	$(PYTEST_ENV) .venvs/sklearn-$*/bin/$(PYTEST) tests/promises/test_common.py tests/promises/test_native.py

test-lowest: .venvs/lowest/.installed ## run the tests on the lower bound of every dependency
	$(PYTEST_ENV) .venvs/lowest/bin/$(PYTEST)

# Three runs hold each kernel of OpenBLAS and of MKL, each instruction set of PyTorch and
# each number of threads at least once.
test-kernels: .venv/.installed ## run the tests with other instruction sets and threads
	OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 \
		$(BIN)/$(PYTEST)
	OPENBLAS_CORETYPE=Sandybridge ATEN_CPU_CAPABILITY=default MKL_CBWR=COMPATIBLE \
		OMP_NUM_THREADS=1 $(BIN)/$(PYTEST)
	OPENBLAS_CORETYPE=Sandybridge ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=2 \
		$(BIN)/python -m pytest

test-engines: .venvs/engines/.installed ## run the tests that need ONNX, Dask, Ray, MLflow
	$(PYTEST_ENV) .venvs/engines/bin/$(PYTEST) tests/export tests/engines \
		docs/guide/clusters.md docs/guide/deploy.md docs/guide/mlflow.md

lint: .venv/.installed ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.installed ## mend style and format where that can be done safely
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/.installed ## check the types
	$(BIN)/mypy

docs: .venv/.installed ## build the documentation; a warning or a dead link is an error
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	$(BIN)/python -m pytest -q tests/docs/test_site.py -k built

gallery: .venv/.installed ## compute what the experiments of the gallery show (10 minutes)
	$(PYTEST_ENV) $(BIN)/python docs/examples/experiments/_kept.py

bench: .venv/.bench ## time steps, fits, scores and searches, against peers too (70 minutes)
	$(BIN)/python -m benchmarks.claims.step
	$(BIN)/python -m benchmarks.claims.pictures
	$(BIN)/python -m benchmarks.claims.quality
	$(BIN)/python -m benchmarks.claims.scaling
	$(BIN)/python -m benchmarks.claims.choosing

bench-tables: .venv/.bench ## anomalies, codes, counts, gaps, synthetic rows, streams (2 hours)
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.alarms
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.anomaly
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.codes
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.counts
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.imputation
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.pitfalls
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.synthetic
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.ranks
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.streams

bench-smoke: .venv/.installed ## check the main speed ratios with generous bounds
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.smoke

regret: .venv/.installed ## compare all policies on real tables (80 minutes)
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.regret
	$(PYTEST_ENV) $(BIN)/python -m benchmarks.claims.mixtures

test-package: .venv/.installed ## build sdist and wheel, check them, run the quickstart from the wheel
	CONSTRAINTS=$(CONSTRAINTS) $(BIN)/python -m pytest -m package tests/test_package.py

clean: ## remove the environments and everything built
	rm -rf .venv .venvs build dist docs/_build docs/auto_examples docs/generated
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# $(call create-venv,folder): an existing environment is kept and updated.
define create-venv
	@test -x $(1)/bin/pip || $(or $(PYTHON),false) $(IS_SUPPORTED) 2>/dev/null || \
		{ echo "skvae needs Python >= 3.11; name one: PYTHON=/path/to/python make ..." >&2; exit 1; }
	test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
endef

.venv/.installed: pyproject.toml constraints.txt
	$(call create-venv,.venv)
	@echo "Installing what development needs (460 MB, or 3 GB with PyTorch for CUDA)."
	$(BIN)/python -m pip install -c $(CONSTRAINTS) -e ".[dev]"
	@touch .venv/.plot $@

# A part of what .installed holds, for those who come for the demo.
.venv/.plot: pyproject.toml constraints.txt
	$(call create-venv,.venv)
	@echo "Installing what the demo needs (280 MB, or 2.8 GB with PyTorch for CUDA)."
	$(BIN)/python -m pip install -c $(CONSTRAINTS) -e ".[plot]"
	@touch $@

# The packages that are compared with: nothing else needs them.
.venv/.bench: .venv/.installed
	$(BIN)/python -m pip install -c $(CONSTRAINTS) -e ".[bench]"
	@touch $@

# Lower bounds belong to the oldest Python.
.venvs/lowest/.installed: PYTHON := python3.11
.venvs/lowest/.installed: pyproject.toml constraints-lowest.txt
	$(call create-venv,$(@D))
	$(@D)/bin/python -m pip install -c constraints-lowest.txt -e ".[test]"
	@touch $@

.venvs/engines/.installed: pyproject.toml constraints.txt
	$(call create-venv,$(@D))
	$(@D)/bin/python -m pip install -c $(CONSTRAINTS) -e ".[test,dask,mlflow,onnx,ray]"
	@touch $@

# The other pins suit every scikit-learn of the matrix; only its own gives way.
.PRECIOUS: .venvs/sklearn-%/.installed
.venvs/sklearn-%/.installed: pyproject.toml constraints.txt
	$(call create-venv,$(@D))
	grep -v '^scikit-learn==' constraints.txt > $(@D)/constraints.txt
	$(@D)/bin/python -m pip install -c $(@D)/constraints.txt scikit-learn==$* -e ".[test]"
	@touch $@
