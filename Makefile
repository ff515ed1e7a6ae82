# What can be done here; `make` alone lists it. Every target works in a fresh clone.
PYTHON ?= python3
VENV := .venv
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
OLDEST := $(shell sed -n 's/^requires-python = ">=\([0-9.]*\)"/\1/p' pyproject.toml)
export PYTHONPATH := tests
# Older versions of pip know only this name for what other programs call SSL_CERT_FILE.
ifdef SSL_CERT_FILE
export PIP_CERT ?= $(SSL_CERT_FILE)
endif
INSTALL := $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet \
	--constraint tests/constraints.txt
# make test PIKA=WORDS tests another pika than the pinned one: what `uv pip install WORDS` brings.
INSTALL_PIKA = $(if $(PIKA),rm -f $(VENV)/.ready-lessons; $(VENV)/bin/uv pip install --quiet \
	--python $(VENV)/bin/python --reinstall-package pika $(PIKA))
# Needs no .venv: what runs can be stopped without it.
BROKERS := $(PYTHON) -m brokers
# These install Debian's python3-venv where it is missing; all others only say so.
INSTALLERS := demo demo-beyond test test-cluster broker cluster
LINT := $(VENV)/bin/ruff format --check && $(VENV)/bin/ruff check && \
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml && \
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml && \
	sed 's/!override//' tests/brokers/docker-compose.cluster.yml | $(VENV)/bin/check-jsonschema \
		--builtin-schema vendor.compose-spec --default-filetype yaml docker-compose.yml -

.DEFAULT_GOAL := help
.PHONY: help demo demo-beyond test test-cluster broker queues stop cluster kill restart bench languages pins clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready-demo ## play the six lessons, and show what every terminal shows
	@$(VENV)/bin/python -m demo $(ARGS)

demo-beyond: $(VENV)/.ready-demo ## play the pages about the scripts beyond the lessons
	@$(VENV)/bin/python -m demo --beyond

test: $(VENV)/.ready-tests ## run all tests but those of a cluster; some: make test ARGS="-k hello"
	@$(INSTALL_PIKA)
	@trap 'exit 130' INT; $(VENV)/bin/python -m pytest $(ARGS); tests=$$?; \
		$(LINT); lint=$$?; exit $$((tests ? tests : lint))

test-cluster: $(VENV)/.ready-tests ## run the tests on a cluster of three nodes
	@$(INSTALL_PIKA)
	@$(VENV)/bin/python -m pytest -m cluster --numprocesses=0 $(ARGS)

broker: $(VENV)/.ready-lessons ## start a broker on localhost:5672, to follow the lessons by hand
	@$(BROKERS) broker

queues: ## show its queues: messages that are ready and unacknowledged
	@$(BROKERS) queues

stop: ## stop the broker, which keeps its queues, or the cluster
	@$(BROKERS) stop

cluster: $(VENV)/.ready-lessons ## start a cluster of three nodes on localhost:5672 to 5674
	@$(BROKERS) cluster

kill: ## kill a node of the cluster: make kill NODE=1
	@$(BROKERS) kill $(or $(NODE),$(error Say which node: make kill NODE=1))

restart: ## start that node again: make restart NODE=1
	@$(BROKERS) restart $(or $(NODE),$(error Say which node: make restart NODE=1))

bench: $(VENV)/.ready-tests $(VENV)/.ready-bench ## measure how fast the scripts are; takes some minutes
	@$(VENV)/bin/python -m bench $(ARGS)

languages: $(VENV)/.ready-demo ## list what the front pages in other languages have to follow
	@$(VENV)/bin/python -m course.translations

pins: $(VENV)/.ready-lessons ## pin what pyproject.toml names; newer: make pins ARGS=--upgrade
	@$(INSTALL) uv
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version $(OLDEST) --no-annotate \
		--custom-compile-command "make pins" --output-file tests/constraints.txt $(ARGS) \
		--group tests --group bench --group browser --group compose pyproject.toml

clean: ## end broker and cluster, delete their data, .venv and try_ files
	@$(BROKERS) delete
	@rm -rf $(VENV) .hypothesis .pytest_cache .ruff_cache uv.lock try_*
	@find . -name __pycache__ -prune -exec rm -rf {} +

# A Python that is named replaces the .venv that another one has made.
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c 'import platform; print(platform.python_version())'),$(shell \
	sed -n 's/^version = //p' $(VENV)/pyvenv.cfg 2>&1))
$(VENV)/.ready-lessons: always
always:
endif
endif

# .venv with pika alone. It is replaced if it is only half made, or if a version has changed.
$(VENV)/.ready-lessons: Makefile pyproject.toml tests/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < tuple(map(int, "$(OLDEST)".split("."))))' || \
		{ echo "This needs Python $(OLDEST) or newer. Name one: make PYTHON=python3.x $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "Python's venv module is missing. Debian and Ubuntu have it in the package python3-venv." && \
		test -n "$(filter $(INSTALLERS),$(MAKECMDGOALS))" && command -v apt-get >/dev/null && \
		echo "Running: apt-get install python3-venv (some 10 MB, half a minute)" && $(SUDO) apt-get update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv; } || \
		{ echo "Install it, or name another Python: make PYTHON=python3.x $(MAKECMDGOALS)"; exit 1; }
	@echo "Making $(VENV) with pika (0.2 MB, some seconds) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) pika
	@printf '%s\n' '#!/bin/sh' 'here=$$(CDPATH= cd "$$(dirname "$$0")/../.." && pwd)' \
		'PYTHONPATH="$$here/tests" exec "$$here/$(VENV)/bin/python" -m brokers rabbitmqctl "$$@"' \
		> $(VENV)/bin/rabbitmqctl
	@chmod +x $(VENV)/bin/rabbitmqctl
	@touch $@

# A group of pyproject.toml besides. Until it is installed, .venv counts as half made, and is replaced
# after a CTRL+C. Where pip gives up by itself, as without a network, all is as it was before.
$(VENV)/.ready-%: $(VENV)/.ready-lessons
	@echo "Installing what is needed for the $* ($(SIZE_OF_$*)) ..."
	@mv $< $(VENV)/.half-made
	@trap 'exit 130' INT; $(INSTALL) pip && $(INSTALL) --group $* && touch $@; installed=$$?; \
		mv $(VENV)/.half-made $<; exit $$installed
SIZE_OF_demo := 4 MB, some seconds
SIZE_OF_tests := 40 MB, half a minute
SIZE_OF_bench := 40 MB, half a minute
SIZE_OF_browser := 55 MB, half a minute
