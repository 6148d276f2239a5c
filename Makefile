# Two commands on a fresh machine: `make verify` and `make test`. Nothing is assumed beyond Python >= 3.11, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
FOUND := pyproject.toml constraints.txt

.PHONY: verify test slow lint docs site quickstart wheel clean help

help:
	@echo "make verify      install, train and quantise once, then: relrob verify --radius 20 --step 0.25"
	@echo "make test        install with the test extra, run the tests (make slow: the long ones)"
	@echo "make lint        ruff, mypy --strict, pyright, import-linter"
	@echo "make docs        write the generated parts of README.md and docs/ again"
	@echo "make site        build the documentation site in build/site (nothing is fetched, warnings are errors)"
	@echo "make quickstart  write reports/quickstart again from a run"

verify: $(VENV)/installed
	$(BIN)/relrob verify --radius 20 --step 0.25

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto

slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/cog --check README.md docs/*.md

docs: $(VENV)/installed-dev
	$(BIN)/cog -r README.md docs/*.md

site: $(VENV)/installed-dev
	$(BIN)/python docs/site/build.py build/site

quickstart: $(VENV)/installed-dev
	$(BIN)/relrob verify --radius 20 --step 0.25 --out relrob-runs/quickstart
	$(BIN)/python reports/quickstart/make.py relrob-runs/quickstart
	$(BIN)/cog -r README.md docs/*.md

wheel: $(VENV)/installed-dev
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "relrob needs Python 3.11 or newer; try: make PYTHON=python3.11 " + "$(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(FOUND) | $(VENV)/bin/python
	@echo "installing relrob into $(VENV) (TensorFlow is large: a minute or two)"
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(FOUND) | $(VENV)/bin/python
	@echo "installing relrob and its tests into $(VENV)"
	$(PIP) --editable '.[test]'
	@touch $@ $(VENV)/installed

$(VENV)/installed-dev: $(FOUND) | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed $(VENV)/installed-test

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
