# make demo: swap faces and look at it.   make test: everything CI checks.
# Both make the virtual environment they need; nothing else has to be installed but Python and a C++ compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt $(wildcard csrc/*.* csrc/*/*.*) python_tests/constraints.txt
CPP := $(shell git ls-files 'csrc/*.cpp' 'csrc/*.h' 2>/dev/null)

.PHONY: demo test install lint bench clean

install: $(VENV)/.installed

$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint python_tests/constraints.txt --editable '.[torch,test]'
	touch $@

demo: install
	$(BIN)/e4s demo

test: install lint
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(CPP),$(BIN)/clang-format --dry-run --Werror $(CPP))

bench: install
	$(BIN)/python -m benchmarks.swap --json

clean:
	rm -rf $(VENV) build dist out
