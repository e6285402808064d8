# What can be done here. `make` alone lists it.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# pytest processes; more than the machine has cores makes timing tests unfair.
WORKERS ?= 2
# What is missing must not look like what passes. `make test SKIPS=` lets tests be skipped, say while Debian sid, and with
# it Asterisk 22, cannot be installed.
SKIPS ?= --no-skips

# What tests/fuzz/fuzz.py is told, and each parser it is told of.
FUZZ ?= -max_total_time=60
TARGETS := $(sort $(basename $(notdir $(wildcard tests/fuzz/targets/*.py))))

# BTF, which tells the kernel how the maps look, comes with -g. Debian keeps <asm/types.h> by architecture.
RELAY_FLAGS := -O2 -g -Wall -Werror -target bpf -ffile-prefix-map=$(CURDIR)=. -I/usr/include/$(shell uname -m)-linux-gnu

# ruff reads these; a folder of files that are not Python is passed over.
SOURCES := haproxy_voip tests benchmarks

.PHONY: help venv demo check test unit fuzz interop bench docs relay relay-flags clean
.NOTPARALLEL:

help:              ## this list
	@awk -F ' *## ' '/^[a-z]+: .*##/ { sub(/:.*/, "", $$1); printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(VENV)/installed ## the environment in .venv, with the package and everything its tests need

$(VENV)/installed: pyproject.toml
	@echo "== environment: $(VENV)"
	@.ci/python "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --use-pep517 --only-binary atheris --editable '.[test,fuzz]'
	@touch $@

demo: venv ## two people talk and write, two of three servers are killed: what the proxy is for, in a minute
	@$(BIN)/haproxy-voip demo

check: venv ## style and types, in seconds
	@echo "== ruff check"
	@$(BIN)/ruff check $(SOURCES)
	@echo "== ruff format"
	@$(BIN)/ruff format --check $(SOURCES)
	@echo "== mypy"
	@$(BIN)/mypy

unit: venv ## every test that needs nothing but Python
	@echo "== tests, $(WORKERS) at a time"
	@$(BIN)/python -m pytest -q $(SKIPS) -n $(WORKERS) --dist worksteal -m 'not interop'

fuzz: venv ## a minute for each parser of what looks for inputs that break it; FUZZ=-max_total_time=3600: an hour
	@set -e; for target in $(TARGETS); do echo "== fuzzing: $$target"; $(BIN)/python -m tests.fuzz.fuzz $$target $(FUZZ); done

interop: venv ## tests with real servers and clients; as root, which installs them
	@echo "== real servers and clients"
	@tests/interop/setup.sh
	@echo "== interop tests"
	@$(BIN)/python -m pytest -q $(SKIPS) -m interop --durations 10

test: FUZZ = -seed=1 -runs=1000
test: check unit fuzz interop ## everything, as CI does

# The soak takes an hour: it is run by hand.
bench: venv ## figures as ratios to what runs beside them
	@set -e; for program in $(filter-out benchmarks/soak.py,$(sort $(wildcard benchmarks/[a-z]*.py))); do echo "== $$program"; $(BIN)/python $$program; done

docs: venv ## write what is made from the source: docs/CONFIGURATION.md, docs/states/, config/schema.json
	@$(BIN)/python -m haproxy_voip.configuration.reference
	@$(BIN)/python -m haproxy_voip.configuration.schema
	@$(BIN)/python -m tests.tidy.states

# What is shipped was made with clang 14 of Debian 12. Without the debugging information that would name this folder.
relay:             ## the media relay's part in the kernel, haproxy_voip/edge/relay.bpf.o; needs clang, llvm and libbpf-dev
	clang $(RELAY_FLAGS) -c haproxy_voip/edge/relay.bpf.c -o haproxy_voip/edge/relay.bpf.o
	llvm-strip -g haproxy_voip/edge/relay.bpf.o

relay-flags:
	@echo $(RELAY_FLAGS)

clean:             ## remove the environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
