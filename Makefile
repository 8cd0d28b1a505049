# SPDX-License-Identifier: MIT
#
# `make run` and `make test` need Python 3.11 or newer and make, nothing else; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= hello
ARGS ?=
TESTS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

## run       set everything up and boot the hello image (IMAGE=timer boots another, ARGS= adds options)
run: $(VENV)/run.stamp
	$(BIN)/hartwell boot $(IMAGE) $(ARGS)

# The tests start hundreds of processes, of which each would compile all modules where bytecode is not kept.
## test      set everything up and run all tests (TESTS=tests/hartwell for some, ARGS= for pytest's options)
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS) $(TESTS)

## test-full the same, with all rounds of the tests that try at random
test-full: export HARTWELL_FULL_EFFORT = 1
test-full: test

## lint      style and types
lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/mypy

## bench     the benchmarks behind every figure that the documentation gives
bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench $(ARGS)

## images    build the test images (needs riscv64-unknown-elf-gcc, as the next five)
images:
	$(MAKE) -C images

## firmware  build the firmware
firmware:
	$(MAKE) -C firmware

## kernel    build the mini-kernel's text
kernel:
	$(MAKE) -C kernel/text

## programs  build the user programs that come along (hartwell programs lists them)
programs:
	$(MAKE) -C programs

## allocators  build the lab's allocators, planted bugs and driver
allocators:
	$(MAKE) -C allocators

## measured  build the programs that tests and benchmarks run
measured:
	$(MAKE) -C tests/emulator/programs
	$(MAKE) -C bench/programs
	$(MAKE) -C bench/timing

## clean     remove everything that is made here, the environment too (built guest programs stay: they are committed)
clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	for d in images programs allocators firmware kernel/text tests/emulator/programs bench/programs bench/timing; do if [ -f $$d/Makefile ]; then $(MAKE) -C $$d clean; fi; done
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

## help      show this
help:
	@echo "Hartwell: a RISC-V machine. Begin with: make run"
	@sed -n 's/^## /  make /p' $(MAKEFILE_LIST)

# The environment. `run` needs the tool only, everything else the test and lint tools, too.
$(VENV)/run.stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: $(PYTHON) is not installed; Hartwell needs Python 3.11 or newer (PYTHON=... names another)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$($(PYTHON) --version) is too old; Hartwell needs 3.11 or newer (PYTHON=python3.12 names another)" >&2; \
	  exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "make: this Python cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; downloads some 100 MB)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

.PHONY: run test test-full lint bench images firmware kernel programs allocators measured clean help
