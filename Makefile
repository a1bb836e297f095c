# Every target sets up the one environment, .venv, when it is missing or stale; it needs Python 3.11 or newer, make and a
# package index, and nothing else. `make PYTHON=/path/to/python3.12 test` chooses the Python, WORKERS=1 the number of
# test processes, MINUTES=60 SEED=7 how long to fuzz and from which program on.

VENV    := .venv
STAMP   := $(VENV)/.installed
PEERS   := build/peers
WORKERS ?= auto
PYTHON  ?=
MINUTES ?= 10
SEED    ?= 0

ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PEERS_BIN := $(PEERS)/$(notdir $(BIN))

# The stamp records the checkout that was installed: in a checkout that moved or was copied, everything is set up again.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(CURDIR))
STALE := stale
endif

.PHONY: help mnist test fuzz bench bench-peers lint check-latex test-browser clean stale
.DEFAULT_GOAL := help

help:  ## say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

mnist: $(STAMP)  ## train the reference network on MNIST and print its gradients
	$(BIN)/python examples/02_mnist.py

test: lint  ## lint, then run the tests, the doctests and the README's code
	$(BIN)/python -m pytest -q -n $(WORKERS) --maxprocesses=8 --dist=worksteal --doctest-modules tests symgrad codegen

fuzz: $(STAMP)  ## compare random graphs with the oracle for MINUTES; SEED is the first; the same command goes on
	@mkdir -p build
	cd tests && ../$(BIN)/python -m fuzz $(SEED) 1000000 --seconds=$$(($(MINUTES) * 60)) --log=../build/fuzz-$(SEED).jsonl

# With an environment of peers, everybody is measured in that one; build/bench has the results.
BENCH = $(if $(wildcard $(PEERS_BIN)/python*),$(PEERS_BIN),$(BIN))/python

bench: $(STAMP)  ## measure what the README claims, symgrad beside the peers that are installed (RUNGS names some), growth
	$(BENCH) -m benchmarks.startup
	$(BENCH) -m benchmarks.mnist
	$(BENCH) -m benchmarks $(RUNGS)
	$(BENCH) -m benchmarks.sweeps

# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu takes PyTorch's smaller build, without CUDA.
bench-peers: $(STAMP)  ## install PyTorch and JAX for `make bench`, in an environment of their own
	$(BIN)/python -m venv $(PEERS)
	$(PEERS_BIN)/python -m pip install -q --disable-pip-version-check -e . torch jax

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/python -m ruff check
	$(BIN)/python -m mypy

check-latex: $(STAMP)  ## let KaTeX read our LaTeX, and write a page of it (needs npm)
	@mkdir -p build/katex && npm install --silent --no-audit --prefix build/katex katex@0.16
	cd tests && KATEX=../build/katex ../$(BIN)/python -m latex ../build/formulas.html

test-browser: $(STAMP)  ## click through the explorer's page in a headless Chromium, which the machine must have
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[browser]'
	$(BIN)/python -m pytest -q tests/browser/check_*.py

clean:  ## remove the environment and everything that was generated
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment that still runs is kept and brought up to date. A new one needs an interpreter that is recent enough and
# can make environments: a version manager's shim, or a Debian Python without python3-venv, is a name on the PATH that cannot.
CHECK := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))

$(STAMP): pyproject.toml $(STALE)
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    for python in $(or $(PYTHON),python3.14 python3.13 python3.12 python3.11 python3 python); do \
	        $$python -c '$(CHECK)' >/dev/null 2>&1 && found=$$python && break; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo 'make: no Python 3.11 or newer with its venv module; name one: make PYTHON=/path/to/python' >&2; exit 1; \
	    fi; \
	    echo "setting up $(VENV) with $$($$found --version)"; \
	    $$found -m venv --clear $(VENV) || exit 1; \
	fi; \
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]' && printf '%s' '$(CURDIR)' > $@
