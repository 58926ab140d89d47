# parallel_processing: `make run` starts the menu, `make test` runs the tests.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := main.py core optimizers workflows utils tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help run demo test lint types messages pictures bench bench-peers check clean

help:  ## show these lines
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (set PYTHON=/path/to/python3)."; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { echo "Could not create $(VENV): install your system's venv package (Debian: python3-venv)."; \
		rm -rf $(VENV); exit 1; }

$(VENV)/.run: requirements.txt | $(BIN)/python
	@echo "Installing what the program needs (once) ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-genai.txt requirements-otel.txt requirements-dev.txt | $(BIN)/python
	@echo "Installing what the tests need (once) ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/.run

# Other people's programs pin versions of their own: they get an environment of their own.
$(PEERS)/.done: benchmarks/requirements.txt | $(BIN)/python
	@echo "Installing the programs to compare with (once) ..."
	@$(BIN)/python -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

run: $(VENV)/.run  ## start the menu (offline demonstration model when no key is set)
	@$(BIN)/python main.py

demo: $(VENV)/.run  ## start the menu on the offline model, whatever key is set
	@GEMINI_API_KEY= GOOGLE_API_KEY= $(BIN)/python main.py

test: $(VENV)/.dev  ## run all tests
	@$(BIN)/python -m pytest

lint: $(VENV)/.dev types  ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/lint-imports

types: $(VENV)/.dev  ## mypy --strict
	@$(BIN)/mypy

messages: $(VENV)/.dev  ## write the catalogues of the screen's languages
	@$(BIN)/python -m tests.messages

pictures: $(VENV)/.dev  ## draw the README's pictures from real runs
	@$(BIN)/python -m tests.terminal.pictures

bench: $(VENV)/.dev $(PEERS)/.done  ## measure against a loopback Gemini, and against other programs
	@$(BIN)/python -m benchmarks

bench-peers: $(PEERS)/.done  ## install the programs that `make bench` compares with

check: lint test  ## everything a change must pass

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
