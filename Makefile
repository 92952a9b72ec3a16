# Everything runs from .venv, built by the first target that needs it out of
# requirements.lock: exact versions, checked by hash. Needed: Python 3.10+ and make.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
FRAMEWORKS := .venv-frameworks/.ready
# What the extension module is built of: the editable install compiles it in place.
NATIVE := hatch_build.py $(wildcard src/native/*.[ch])

.DEFAULT_GOAL := help
.PHONY: help setup frameworks acceptance suites demo demo-stack stack test unit lint types bench bench-check decay lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## Build .venv with the package and all tools

frameworks: $(FRAMEWORKS) ## Build .venv-frameworks with what tests/frameworks runs

demo: $(READY) ## Run an unmodified program under stagelight (ARGS="--limit 500")
	$(BIN)/stagelight run examples/index_sources.py $(ARGS)

demo-stack: $(READY) ## Run it into the real stack, and leave that running
	tools/stack --stay -- $(BIN)/stagelight run examples/index_sources.py $(ARGS)

stack: ## Run collector, Jaeger, Prometheus, Alertmanager (ARGS=--free-ports)
	tools/stack $(ARGS)

# The static checks run side by side and first: they fail fastest. pytest has both
# cores to itself, because many tests look at time. It is last: its closing line is ours.
test: $(READY) $(FRAMEWORKS) ## Check style and types, then run every test (ARGS="-k queue")
	@$(MAKE) --no-print-directory -j2 lint types
	$(BIN)/pytest $(ARGS)

unit: $(READY) ## Run the fast tests only
	$(BIN)/pytest tests/unit -o faulthandler_timeout=60 $(ARGS)

lint: $(READY) ## Check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types
	$(BIN)/mypy

acceptance: $(READY) $(FRAMEWORKS) ## Run frameworks' own programs, bare and observed (ARGS="luigi rq")
	$(BIN)/python tools/framework-acceptance $(ARGS)

suites: $(READY) $(FRAMEWORKS) ## Run frameworks' own test suites, bare and observed (ARGS=huey)
	$(BIN)/python tools/framework-suites $(ARGS)

bench: $(READY) ## Measure what observing costs (ARGS="--quick calls", ARGS=--record)
	$(BIN)/python bench/overhead.py $(ARGS)

bench-check: $(READY) ## Fail if a ratio is 15 % worse than in bench/history.json
	$(BIN)/python bench/overhead.py --check $(ARGS)

decay: $(READY) ## Measure how early alerts fire, and how quiet they are
	$(BIN)/python -m bench.decay report $(ARGS)

# One lock for all supported Python versions. Pre-releases only where nothing else
# exists or pyproject.toml names one. ARGS=--upgrade takes newer versions.
lock: | $(BIN)/python ## Compile requirements.lock from pyproject.toml
	$(BIN)/python -m pip install --quiet 'uv>=0.9,<1'
	$(BIN)/uv pip compile pyproject.toml --group dev --output-file requirements.lock \
		--quiet --no-config --universal --python-version 3.10 --generate-hashes \
		--prerelease if-necessary-or-explicit --custom-compile-command "make lock" \
		--no-emit-index-url --no-emit-find-links $(ARGS)
	$(BIN)/uv pip compile pyproject.toml --group frameworks \
		--output-file requirements-frameworks.lock \
		--quiet --no-config --universal --python-version 3.10 --generate-hashes \
		--prerelease if-necessary-or-explicit --custom-compile-command "make lock" \
		--no-emit-index-url --no-emit-find-links $(ARGS)

clean: ## Remove .venv, caches and build results
	rm -rf .venv .venv-frameworks build dist .*_cache .hypothesis .coverage*
	rm -f src/stagelight/_native.*.so
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "stagelight needs Python 3.10 or newer: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# The build backend comes from the lock too, so the second step fetches nothing.
$(READY): requirements.lock pyproject.toml $(NATIVE) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps -e .
	@touch $@

$(FRAMEWORKS): requirements-frameworks.lock pyproject.toml $(NATIVE)
	test -x .venv-frameworks/bin/python || $(PYTHON) -m venv .venv-frameworks
	.venv-frameworks/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements-frameworks.lock
	.venv-frameworks/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps -e .
	@touch $@
