# The two commands of the README are `make run` and `make test`; both do all set-up themselves.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait for real brokers and daemons half of the time: one worker more than a small machine has cores.
WORKERS ?= 3
# The order of the tests: the same in every `make test`, another one in every `make proof`.
ORDER ?= 1
export EDGE_CORPUS ?= $(abspath ../shared/corpus)
# Where it is set, every program that a test starts compiles all of `edge` anew: 0.4 s each.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run demo-fleet test proof bench lint lock clean

run: $(VENV)/.run-ready
	$(BIN)/edge demo $(if $(ONCE),--once)

demo-fleet: $(VENV)/.run-ready
	$(BIN)/edge demo fleet

test: $(VENV)/.test-ready lint
	$(BIN)/pytest -m "not proof" -n $(WORKERS) --dist worksteal --randomly-seed=$(ORDER)

lint: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The long forms, after every property was looked at with other examples and in another order.
proof: $(VENV)/.test-ready
	$(BIN)/pytest -m "hypothesis and not proof" -n $(WORKERS) --dist worksteal --hypothesis-profile=explore
	$(BIN)/pytest -m proof -s --timeout 3600 --hypothesis-profile=explore

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

# requirements-demo.lock: only for the head it carries, so without its dependencies.

$(VENV)/.run-ready: requirements.lock requirements-demo.lock pyproject.toml tools/setup.sh
	PYTHON=$(PYTHON) tools/setup.sh $(VENV) requirements.lock requirements-demo.lock
	@touch $@

# The lock of the tests holds all of the product's as well.
$(VENV)/.test-ready: requirements-test.lock requirements-demo.lock pyproject.toml tools/setup.sh
	PYTHON=$(PYTHON) tools/setup.sh --peers $(VENV) requirements-test.lock requirements-demo.lock
	@touch $(VENV)/.run-ready $@

clean:
	rm -rf $(VENV) .run .cache
