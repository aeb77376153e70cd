# Everything a person needs: `make demo` and `make test` create their environment themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CPP := $(shell find src/mergesearch/_kernels -name '*.cpp' -o -name '*.h')
EVERYDAY := -m "not browser and not faults and not real and not cross"
# Some tests take a gigabyte, and many share a file's fixtures. Files come in the order of
# tests/conftest.py: xdist's own would leave those of few long tests to the end.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
# Processes that tests start would compile every module anew.
export PYTHONDONTWRITEBYTECODE :=
KERNELS := CMakeLists.txt $(CPP)

.PHONY: demo quick docs test everyday test-browser test-faults test-mutants test-random test-real coverage lint format bench bench-search clean

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
	$(BIN)/search export results/demo --pick knee -o results/demo/knee.yaml --force

quick: $(VENV)/.dev
	$(BIN)/python -m pytest $(PARALLEL) --quick $(EVERYDAY)

# Tests wait for a process now and then, and mypy does not.
test: $(VENV)/.dev
	$(MAKE) --jobs 2 lint everyday

everyday: $(VENV)/.dev
	$(BIN)/python -m pytest $(PARALLEL) $(EVERYDAY)

test-faults: $(VENV)/.dev
	$(BIN)/python -m pytest -m faults

test-browser: $(VENV)/.dev
	$(BIN)/python -m pytest -m browser -rs

test-random: $(VENV)/.dev
	$(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile random \
	  -m "hypothesis and not cross and not real"

test-real: $(VENV)/.dev
	$(BIN)/python -m pytest -m "real or cross"

test-mutants: $(VENV)/.dev
	$(BIN)/python -m tools.mutants

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(EVERYDAY)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet
	$(BIN)/coverage report

lint: $(VENV)/.dev
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/clang-format --dry-run -Werror $(CPP)
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports pyproject.toml
	$(BIN)/vulture

format: $(VENV)/.dev
	$(BIN)/ruff format --quiet .
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/clang-format -i $(CPP)

docs: $(VENV)/.runtime
	$(PIP) -e '.[docs]'
	$(BIN)/mkdocs build

# Benchmarks take yardsticks and parents from tools/.
bench bench-search: export PYTHONPATH := .

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/quantize.py
	$(BIN)/python benchmarks/merge.py
	$(BIN)/python benchmarks/merge_memory.py
	$(BIN)/python benchmarks/method_kernels.py
	$(BIN)/python benchmarks/methods.py
	$(BIN)/python benchmarks/methods.py --large
	$(BIN)/python benchmarks/rounds.py
	$(BIN)/python benchmarks/candidate.py
	$(BIN)/python benchmarks/scoring.py

bench-search: $(VENV)/.dev
	for space in small demo wide; do \
	  for sampler in auto gp tpe nsga2 cmaes sobol random sweep; do \
	    $(BIN)/python benchmarks/search.py emulated results/bench-search --space $$space --sampler $$sampler; \
	  done; \
	done
	for seed in 0 1 2 3 4; do $(BIN)/python benchmarks/search.py run results/bench-search --seed $$seed; done
	$(BIN)/python benchmarks/search.py judge results/bench-search
	$(BIN)/python benchmarks/search.py report results/bench-search

clean:
	rm -rf $(VENV) build dist
