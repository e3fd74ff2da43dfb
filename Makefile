# Everything works from a fresh clone: what is missing is set up first, once, in .venv.
# Another interpreter: make PYTHON=python3.12. Without the native kernels: make CXX=/bin/false.
PYTHON ?= python3
VENV ?= .venv

BIN := $(VENV)/bin
READY := $(VENV)/.ready
CPP := $(wildcard npu_sim/native/*.cpp npu_sim/native/*.h)
NATIVE := npu_sim/CMakeLists.txt $(CPP)

# Commands start a third faster with compiled modules, which Python writes itself unless PYTHONDONTWRITEBYTECODE is set.
ROOMS := compiler furiosa_cli isa npu_sim quantizer runtime server

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check dev bench sanitize wheel clean format lint types imports wheel-check

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: $(READY) ## compile and run a real network on the simulated NPU
	@$(BIN)/python examples/digits/demo.py

test: $(READY) ## run the tests
	@$(BIN)/python -m compileall -q $(ROOMS)
	@$(BIN)/python -m pytest -n 2

check: lint types imports test wheel-check ## everything that CI proves: style, types, import rules, tests, the wheel

dev: $(READY) ## set up .venv: editable install with the development tools
	@echo "ready: source $(BIN)/activate"

bench: $(READY) ## run the benchmarks
	@$(BIN)/python benchmarks/run.py

sanitize: $(READY) ## test the native kernels under AddressSanitizer and UBSan
	@.ci/sanitize $(BIN)/python

wheel: $(READY) ## build the wheel into dist
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean: ## remove what was built, and .venv
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

format: $(READY)
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/clang-format -i $(CPP)

lint: $(READY)
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run \`make format\`"; exit 1; }
	@$(BIN)/ruff check .
	@$(BIN)/clang-format --dry-run --Werror $(CPP)

types: $(READY)
	@$(BIN)/mypy

imports: $(READY)
	@$(BIN)/lint-imports --no-logo

wheel-check: wheel
	@.ci/wheel-check $(BIN)/python

$(READY): pyproject.toml $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.x")'
	@test -x $(BIN)/python || { echo "setting up $(VENV), once: this takes a minute or two" >&2; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@$(BIN)/python -c 'import furiosa.npu_sim._native' 2>/dev/null || { \
	  echo "no native kernels were built: the slow NumPy reference runs instead" >&2; \
	  echo "hint: \`$(BIN)/pip install -v -e .\` shows why; after a repair: \`make clean dev\`" >&2; }
	@$(BIN)/python -m compileall -q $(ROOMS)
	@touch $@
