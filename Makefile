# make demo: swap faces and look at it.   make test: everything CI checks.
# Both make the virtual environment they need; nothing else has to be installed but Python and a C++ compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2# processes that run tests; PyTorch has one thread in each, as two of them wait for each other
SOURCES := pyproject.toml CMakeLists.txt $(wildcard csrc/*.* csrc/*/*.*) python_tests/constraints.txt
CPP := $(shell git ls-files 'csrc/*.cpp' 'csrc/*.h' 2>/dev/null)

.PHONY: demo test install lint docs kernels bench sweep fuzz sanitize sanitize-quick clean

# The runtime's tests once more on builds that watch memory and threads (gcc on Linux).
SANITIZED := build/sanitized
RUNTIME_TESTS := python_tests/backends/test_fuzz.py python_tests/backends/test_native_runtime.py
FUZZ_TESTS := python_tests/fuzz

install: $(VENV)/.installed

$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint python_tests/constraints.txt --editable '.[torch,faces,video,test]'
	touch $@

demo: install
	$(BIN)/e4s demo

test: install lint sanitize-quick
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(if $(CPP),$(BIN)/clang-format --dry-run --Werror $(CPP))

# The site, in build/docs; the packages are those of the extra.
docs: install
	$(BIN)/python -m pip install --quiet 'sphinx>=8' 'myst-parser>=4' 'furo>=2024.8'
	$(BIN)/python -m sphinx -W --keep-going -q docs build/docs
	@echo 'look at build/docs/index.html'

# Compiled kernels of the networks, which wheels that are built afterwards hold: docs/cuda.md.
KERNELS := e4s_engine/backends/cuda/kernels.zip
kernels: install
	$(BIN)/python -m e4s_engine.backends.cuda.ahead --arch 80 86 89 90 100 120 \
	  --networks rgi parser facevid2vid gpen parsenet recolor inpaint segnext \
	  --weights e4s_engine/models/demo.safetensors e4s_engine/models/demo.parser.safetensors --out $(KERNELS)

bench: install
	$(BIN)/python -m benchmarks.swap --json

# What is too long for CI: kernels for every card, every size.
sweep: install
	$(BIN)/python -m pytest -m sweep

# Damaged files and abusive calls, E4S_FUZZ of each, every one within limits of time and memory.
E4S_FUZZ ?= 10000
fuzz: install
	cd python_tests && ../$(BIN)/python -m fuzz.run files $(E4S_FUZZ)
	cd python_tests && ../$(BIN)/python -m fuzz.run calls $(E4S_FUZZ)

sanitize: install
	$(call sanitized,address$(comma)undefined,asan ubsan,,,20000,$(RUNTIME_TESTS) python_tests/backends/test_native_ops.py $(FUZZ_TESTS))
	$(call sanitized,thread,tsan,,threads or batches,0,python_tests/backends/test_native_runtime.py)

# The part that CI runs: portable kernels alone, as all of them share the checks that keep them in bounds.
sanitize-quick: install
ifeq ($(wildcard $(shell gcc -print-file-name=libasan.so 2>/dev/null)),)
	@echo 'sanitize-quick: skipped, there is no gcc with libasan here'
else
	$(call sanitized,address$(comma)undefined,asan ubsan,-DE4S_X86_KERNELS=OFF,not 500,1500,$(RUNTIME_TESTS))
endif

comma := ,
# 1: sanitizers, 2: their libraries, loaded before Python as the extension needs them there, 3: options of the build,
# 4: which tests, 5: how many random calls, 6: their files
define sanitized
	$(BIN)/python -m pip install --quiet 'pybind11>=2.13' cmake ninja
	$(BIN)/cmake -S . -B $(SANITIZED)/$(if $(3),quick,$(firstword $(2))) -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo $(3) \
	  -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -DE4S_SANITIZE='$(1)' -DSKBUILD_PROJECT_VERSION=sanitized \
	  -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python -Dpybind11_DIR=$$($(BIN)/python -m pybind11 --cmakedir)
	$(BIN)/cmake --build $(SANITIZED)/$(if $(3),quick,$(firstword $(2)))
	rm -rf $(SANITIZED)/run && mkdir -p $(SANITIZED)/run
	cp -r e4s_engine python_tests benchmarks pyproject.toml $(SANITIZED)/run
	cp $(SANITIZED)/$(if $(3),quick,$(firstword $(2)))/_native*.so $(SANITIZED)/run/e4s_engine
	cd $(SANITIZED)/run && SKBUILD_EDITABLE_SKIP=1 OMP_NUM_THREADS=1 E4S_FUZZ=$(5) \
	  LD_PRELOAD="$(foreach library,$(2),$$(gcc -print-file-name=lib$(library).so))" \
	  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1 TSAN_OPTIONS=halt_on_error=1:suppressions=python_tests/tsan.supp \
	  PYTHONPATH=. $(CURDIR)/$(BIN)/python -c "import sys, pytest; \
	  sys.meta_path[:] = [f for f in sys.meta_path if 'ScikitBuild' not in type(f).__name__]; \
	  import e4s_engine._native as n; assert n.__version__ == 'sanitized', n.__file__; \
	  sys.exit(pytest.main(['-x', '-p', 'no:cacheprovider', '-k', '$(4)', *'$(6)'.split()]))"
endef

clean:
	rm -rf $(VENV) build dist out
