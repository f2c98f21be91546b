# The commands of this project. `make` alone lists them; each one sets up what it needs.
# Paths are relative on purpose: the folder's own name may hold spaces.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
OUTPUT := ./runtime
# The first seed of the crash points: what passed here has to pass again. Another one: make crash-points CRASH_SEED=7
CRASH_SEED ?= 1075096
# How long a soak takes, in minutes.
MINUTES ?= 60

# The stamp holds the folder it was made for: a copied or moved tree would import the code it came from.
ifneq ($(shell cat $(INSTALLED) 2>/dev/null),$(CURDIR))
.PHONY: $(INSTALLED)
endif

$(INSTALLED): requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is missing or older than 3.11: install Python 3.11, or name one with make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments, its ensurepip is missing: apt install python3-venv" >&2; exit 1; }
	@[ "$$(cat $(INSTALLED) 2>/dev/null)" = "$(CURDIR)" ] || { echo "creating $(VENV)"; "$(PYTHON)" -m venv --clear $(VENV); }
	@echo "installing the locked dependencies"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@printf '%s' "$(CURDIR)" > $(INSTALLED)

.PHONY: help
help: ## list the commands
	@echo "execution-worker: one order at most for each signal. Commands:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name what; do printf '%-29s %s\n' "$$name" "$$what"; done

.PHONY: run
run: $(INSTALLED) ## execute signals in dry-run on ./runtime (sample signals first when there are none)
	@if [ -z "$$(ls $(OUTPUT)/ready/signal/*/*.jsonl* $(OUTPUT)/signals.db $(OUTPUT)/signals_v2.db 2>/dev/null)" ]; then \
	  echo "no signals below $(OUTPUT): writing 300 sample signals"; \
	  $(BIN)/execution-worker sample --shape v1-jsonl --rate 0 --count 300 --symbols BTCUSDT,ETHUSDT --seed 1 --into $(OUTPUT); \
	fi
	@echo "Ctrl-C stops; for more signals, in another terminal: $(BIN)/execution-worker sample --shape v1-jsonl --rate 5 --seconds 60 --into $(OUTPUT)"
	@$(BIN)/execution-worker --symbols BTCUSDT,ETHUSDT --output $(OUTPUT)

.PHONY: test
test: $(INSTALLED) ## format, lint, types, layers and all tests: the same in CI
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --quiet --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: test-live
test-live: $(INSTALLED) ## the tests that take minutes, or need a browser, promtool or systemd (make tools installs those)
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist worksteal tests/live \
	  --ignore tests/live/test_unit_boots.py --ignore tests/live/test_http_idle.py

.PHONY: http-crowd
http-crowd: $(INSTALLED) ## a thousand idle connections and storms of bad requests: what that does to trading, as a ratio
	$(BIN)/python -m pytest --quiet -n0 -s tests/live/test_http_idle.py

.PHONY: boot-unit
boot-unit: $(INSTALLED) ## boot the systemd unit in a container: it starts, works, dies and comes back (root, systemd-nspawn)
	$(BIN)/python -m pytest --quiet -n0 --timeout 1300 tests/live/test_unit_boots.py

.PHONY: tools
tools: ## install what some tests need, on Debian and as root: Chromium, Prometheus, Alertmanager, systemd-container
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    chromium prometheus prometheus-alertmanager systemd systemd-container shellcheck; \
	else echo "these are installed by root on Debian: chromium prometheus prometheus-alertmanager systemd-container"; fi

.PHONY: drill
drill: $(INSTALLED) ## kill the worker 60 times per sink, at random and at every named crash point; start two at once 50 times
	PYTHONPATH=tests/faults $(BIN)/python -m drill.run --kills 60 --pairs 50

.PHONY: drill-short
drill-short: $(INSTALLED) ## the same with 25 kills per sink and 20 pairs
	PYTHONPATH=tests/faults $(BIN)/python -m drill.run --kills 25 --pairs 20

.PHONY: drill-all
drill-all: $(INSTALLED) ## execution-worker drill all: 200 kills under everything that can go wrong, with a report (under ten minutes)
	$(BIN)/execution-worker drill all --kills 200 --into .drill/all --report .drill/all.html

.PHONY: drill-exchange
drill-exchange: $(INSTALLED) ## 200 kills of a worker that trades on a lying exchange: one order for each signal (15 to 20 minutes)
	PYTHONPATH=tests/faults $(BIN)/python -m drill_exchange.run

.PHONY: drill-exchange-short
drill-exchange-short: $(INSTALLED) ## the same with 20 kills, as in make test-live, and with a table at the end
	PYTHONPATH=tests/faults $(BIN)/python -m drill_exchange.run --short

.PHONY: drill-exchange-planted
drill-exchange-planted: $(INSTALLED) ## the same on workers with a planted mistake each: all of them have to be caught
	PYTHONPATH=tests/faults $(BIN)/python -m drill_exchange.planted_run

.PHONY: drill-paper
drill-paper: $(INSTALLED) ## 100 kills of a worker and its simulated venue: one order for each signal (five minutes)
	PYTHONPATH=tests/faults $(BIN)/python -m paper_drill.run --kills 100

.PHONY: drill-paper-short
drill-paper-short: $(INSTALLED) ## the same with 25 kills, then workers with planted mistakes, which have to be caught
	PYTHONPATH=tests/faults $(BIN)/python -m paper_drill.run --kills 25
	PYTHONPATH=tests/faults $(BIN)/python -m paper_drill.run --planted

.PHONY: drill-execlog
drill-execlog: $(INSTALLED) ## 10 000 events of the execution log under SIGKILL every few hundred: each told once
	PYTHONPATH=tests/faults $(BIN)/python -m execlog_drill.run --events 10000

.PHONY: drill-shadow
drill-shadow: $(INSTALLED) ## 1 000 orders and their copies on a healthy venue, then on one that refuses 5 %
	PYTHONPATH=tests/faults $(BIN)/python -m shadow_drill.run

.PHONY: paper-parity
paper-parity: $(INSTALLED) ## 1 000 signals on paper and on the exchange in the box: fill prices within a tick
	PYTHONPATH=tests/faults:tests/integration $(BIN)/python -m paper_parity.run --signals 1000

.PHONY: soak
soak: $(INSTALLED) ## an hour of steady work on the practice exchange, watched and judged: make soak MINUTES=60 (writes docs/soak.md)
	PYTHONPATH=tests/faults $(BIN)/python -m soak.run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --page

.PHONY: soak-short
soak-short: $(INSTALLED) ## two minutes of it, without the slope of the memory
	PYTHONPATH=tests/faults $(BIN)/python -m soak.run --minutes 2

.PHONY: crash-points
crash-points: $(INSTALLED) ## end a worker in virtual time at 20 000 points, two at a time: nothing lost, nothing doubled (15 to 20 minutes)
	PYTHONPATH=tests/faults:tests/integration $(BIN)/python -m crash.run --points 20000 --whole --processes 2 --seed $(CRASH_SEED)

.PHONY: crash-points-short
crash-points-short: $(INSTALLED) ## the first 6 000 of them
	PYTHONPATH=tests/faults:tests/integration $(BIN)/python -m crash.run --points 6000 --whole --processes 2 --seed $(CRASH_SEED)

.PHONY: interop
interop: $(INSTALLED) ## foreign clients trade on the practice exchange, and its journal judges what they believe
	$(BIN)/python tests/interop/run.py

.PHONY: bench
bench: $(INSTALLED) ## speed, latency, memory and restart, as ratios taken in one run
	$(BIN)/python tests/bench/run.py

.PHONY: bench-short
bench-short: $(INSTALLED) ## the same on less data; fails only at two and a half times a bound
	$(BIN)/python tests/bench/run.py --short --tolerate 2.5

.PHONY: docs
docs: $(INSTALLED) ## write the pages of docs/ that are made from the code
	$(BIN)/python -m worker.contract_docs docs

.PHONY: clean
clean: ## remove what make created; ./runtime stays, it may hold executions
	rm -rf $(VENV) build dist .drill .bench .interop .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
