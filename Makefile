# What can be done here; `make` alone lists it. Every target works in a fresh clone.
PYTHON ?= python3
VENV := .venv
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)
export PYTHONPATH := tests
# What .venv has been filled for: the lessons (pika alone), the demo, the tests.
LESSONS := $(VENV)/.ready-lessons
DEMO := $(VENV)/.ready-demo
TESTS := $(VENV)/.ready-tests
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --requirement
# Needs no .venv: what runs can be stopped whatever has become of that.
BROKERS := $(PYTHON) -m brokers
# These install Debian's python3-venv where it is missing; all others only say so.
INSTALLERS := demo demo-beyond test test-cluster broker cluster
LINT := ruff format --check && ruff check && \
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml && \
	check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml && \
	check-jsonschema --builtin-schema vendor.compose-spec \
		docker-compose.yml tests/brokers/docker-compose.cluster.yml

.DEFAULT_GOAL := help
.PHONY: help broker queues stop cluster kill restart cost clean demo demo-beyond picture \
	management-picture test test-cluster lint format bench bench-picture

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

demo: $(DEMO) ## play the six lessons of the README and show every terminal
	@$(VENV)/bin/python -m demo

demo-beyond: $(DEMO) ## play the pages about the scripts beyond the lessons
	@$(VENV)/bin/python -m demo --beyond

test: $(TESTS) ## run every check and test, on a broker of their own
	@export PATH=$(CURDIR)/$(VENV)/bin:$$PATH; ($(LINT)); lint=$$?; python -m pytest && exit $$lint

broker: $(LESSONS) ## start a broker on localhost:5672 to follow the lessons by hand
	@$(BROKERS) broker

queues: ## show its queues, with the messages that are ready and unacknowledged
	@$(BROKERS) queues

stop: ## stop the broker, which keeps its queues, and the cluster, which does not
	@$(BROKERS) stop

cluster: $(LESSONS) ## start a cluster of three nodes on localhost:5672 to 5674
	@$(BROKERS) cluster

kill: ## kill a node of the cluster: make kill NODE=1
	@$(BROKERS) kill $(or $(NODE),$(error Say which node: make kill NODE=1))

restart: ## start that node again: make restart NODE=1
	@$(BROKERS) restart $(or $(NODE),$(error Say which node: make restart NODE=1))

cost: $(LESSONS) ## measure what a quorum queue costs on the cluster
	@$(VENV)/bin/python -m bench.cost_of_quorum_queues

clean: ## end broker and cluster with their data, and delete what was made here: .venv, try_ files
	@$(BROKERS) delete
	@rm -rf $(VENV) .hypothesis .pytest_cache .ruff_cache try_*
	@find . -name __pycache__ -prune -exec rm -rf {} +

test-cluster: $(TESTS) ## run the tests on a cluster of three nodes
	@$(VENV)/bin/python -m pytest -m cluster --numprocesses=0

lint: $(TESTS) ## check format, style and configuration files
	@export PATH=$(CURDIR)/$(VENV)/bin:$$PATH; $(LINT)

format: $(TESTS) ## format the code, and correct what the tools can correct
	@$(VENV)/bin/ruff format
	@$(VENV)/bin/ruff check --fix

bench: $(TESTS) ## measure how fast the scripts are, in some minutes
	@$(PIP) tests/bench/requirements.txt
	@$(VENV)/bin/python -m bench

bench-picture: $(TESTS) ## the same, and draw the README's picture of it anew
	@$(PIP) tests/bench/requirements.txt
	@$(VENV)/bin/python -m bench --picture docs/pictures/speed.svg

picture: $(DEMO) ## play two lessons, and draw the README's picture of them anew
	@$(VENV)/bin/python -m demo --picture docs/pictures/demo.svg

management-picture: $(TESTS) ## draw the picture of the management page anew; needs Chromium
	@$(PIP) tests/demo/requirements-browser.txt
	@$(VENV)/bin/python -m demo.management_page docs/pictures/management-page.png

# What was interrupted before it was ready is made anew, or goes on.
$(LESSONS): requirements.txt
	@echo "Making $(VENV), with pika ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "This needs Python 3.10 or newer. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
		echo "Python's venv module is missing. Debian and Ubuntu have it in the package python3-venv." && \
		test -n "$(filter $(INSTALLERS),$(MAKECMDGOALS))" && command -v apt-get >/dev/null && \
		echo "Running: apt-get install python3-venv" && $(SUDO) apt-get update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv; } || \
		{ echo "Install it, or name another Python: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) requirements.txt
	@printf '#!/bin/sh\nPYTHONPATH=tests exec python3 -m brokers rabbitmqctl "$$@"\n' > $(VENV)/bin/rabbitmqctl
	@chmod +x $(VENV)/bin/rabbitmqctl
	@touch $@

$(DEMO): $(LESSONS) tests/demo/requirements.txt
	@echo "Installing what types and shows the lessons ..."
	@$(PIP) tests/demo/requirements.txt
	@touch $@

$(TESTS): $(LESSONS) tests/requirements.txt
	@echo "Installing what the tests need; this takes a minute at most ..."
	@$(PIP) tests/requirements.txt
	@touch $@
