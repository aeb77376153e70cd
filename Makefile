# Everything a person needs: `make demo` and `make test` create their environment themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
KERNELS := CMakeLists.txt $(shell find src/mergesearch/_kernels -name '*.cpp' -o -name '*.h')

.PHONY: demo test test-faults test-real lint bench clean

$(VENV)/.runtime: pyproject.toml constraints.txt $(KERNELS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (llama.cpp is compiled once, for some minutes) ..."
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime
	$(PIP) -e '.[dev]'
	touch $@

demo: $(VENV)/.runtime
	$(BIN)/search run demo --trials 60 --seed 0 --out results/demo
	$(BIN)/search export results/demo --pick knee -o results/demo/recipes/knee.yaml

test: lint
	$(BIN)/python -m pytest -m "not faults and not real and not cross"

test-faults: $(VENV)/.dev
	$(BIN)/python -m pytest -m faults

test-real: $(VENV)/.dev
	$(BIN)/python -m pytest -m "real or cross"

lint: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet src tests benchmarks tools
	$(BIN)/ruff check --quiet src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports pyproject.toml

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/quantize.py
	$(BIN)/python benchmarks/merge.py
	$(BIN)/python benchmarks/merge_memory.py
	$(BIN)/python benchmarks/candidate.py
	$(BIN)/python benchmarks/scoring.py

clean:
	rm -rf $(VENV) build dist
