# `make run` flies one orbit, `make test` runs the suite; both build what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml $(wildcard csrc/*.py $(foreach s,c h,csrc/*.$s csrc/*/*.$s csrc/*/*/*.$s))
SOURCES += $(wildcard $(foreach s,c h,boards/firmware/core/*.$s boards/firmware/posix/*.$s))

.PHONY: run test lint bench docs clean

run: $(VENV)/.run
	$(BIN)/hil run $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(VENV)/.run
	$(BIN)/hil bench time

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.run: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[orbit]'
	touch $@

$(VENV)/.test: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@ $(VENV)/.run

$(VENV)/.docs: $(VENV)/bin/python $(SOURCES)
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@ $(VENV)/.run

clean:
	rm -rf $(VENV) build dist runs
