# What can be done here; `make` alone lists it. Every target works in a fresh clone.
PYTHON ?= python3
VENV := .venv
export AMQP_PORT MANAGEMENT_PORT BROKER
READY := $(VENV)/.ready
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

.DEFAULT_GOAL := help
.PHONY: help demo picture test test-cluster bench lint broker cluster stop queues

help:
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

demo: $(READY) ## play the six lessons of the README and show every terminal
	@$(VENV)/bin/python tests/demo.py

picture: $(READY) ## play two lessons, and save them as the README's picture
	@$(VENV)/bin/python tests/demo.py --picture .github/demo.svg

test: lint ## run every check and test, on a broker of their own
	@$(VENV)/bin/python -m pytest

test-cluster: $(READY) ## run the tests on a cluster of three nodes
	@$(VENV)/bin/python -m pytest -m cluster --numprocesses=0

bench: $(READY) ## measure how fast the scripts are, in some minutes
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --requirement tests/bench/requirements.txt
	@$(VENV)/bin/python tests/bench/bench.py

lint: $(READY) ## check format, style and configuration files
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

broker: $(READY) ## start a broker on localhost:5672 to follow the lessons by hand
	@$(VENV)/bin/python tests/broker.py start

cluster: $(READY) ## start a cluster of three nodes on localhost:5672 to 5674
	@$(VENV)/bin/python tests/cluster.py start

stop: $(READY) ## stop the broker, which keeps its queues, or the cluster, which does not
	@$(VENV)/bin/python tests/cluster.py stop

queues: $(READY) ## show its queues, with the messages that are ready and unacknowledged
	@$(VENV)/bin/python tests/broker.py queues

$(READY): requirements.txt tests/requirements.txt
	@echo "Making $(VENV) and installing what the tests need; this takes a minute at most ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))' || \
		{ echo "This needs Python 3.9 or newer. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { command -v apt-get >/dev/null && \
		echo "Debian keeps Python's venv module apart. Running: apt-get install python3-venv" && \
		$(SUDO) apt-get update && $(SUDO) apt-get install --yes --no-install-recommends python3-venv; } || \
		{ echo "Python's venv module is missing. Install it, or name another Python."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --progress-bar off --requirement tests/requirements.txt
	@touch $@
