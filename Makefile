# make site    a fresh machine -> the report in site/
# make test    every test            make check   what CI runs: lint, format, types, tests
# make quick   the tests that are not slow: half of their time
# make bench   the README's figures  make clean   remove what the program made
#
# Set on the command line: PYTHON (3.10 or newer), ARGS (for `build`, such as ARGS="--offline").

VENV := .venv
BIN := $(VENV)/bin
# What the tests need without its dependencies: of grad-cam, a library that they compare with, these would bring a second
# OpenCV, which overwrites ours; of axe-playwright-python, whose axe-core examines the pages, a browser's driver.
PEERS := grad-cam ttach 'axe-playwright-python>=0.1.8'
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 10))'
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	if $$python $(NEW_ENOUGH) 2>/dev/null; then echo $$python; break; fi; done)

.PHONY: help site test quick check lint types bench clean install-site install-check browser
.NOTPARALLEL:

help:
	@sed -n '1,6s/^# *//p' Makefile

site: install-site
	@$(BIN)/python -m generator build $(ARGS)
	@echo "Open $(CURDIR)/site/index.html"

# Two processes with a thread each: most tests are too small to gain from threads. In the order of tests/conftest.py.
test: install-check browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: install-check browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

check: lint types test

lint: install-check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@if [ -x node_modules/.bin/biome ] && command -v node >/dev/null; then \
		echo node_modules/.bin/biome ci; node_modules/.bin/biome ci --error-on-warnings; \
	else echo "the pages' scripts are not linted: that needs Node.js and npm, see package.json"; fi

types: install-check
	$(BIN)/mypy

bench: install-check
	@for script in benchmarks/*.py; do \
		[ -f "$$script" ] || { echo "there is nothing in benchmarks/"; exit 1; }; \
		echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

clean:
	find site -mindepth 1 ! -name .gitignore -delete
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache build dist

# A copy of the pyproject.toml that was installed is kept in the environment: pip is asked again only when it changed, and
# so is npm, where there is one; so that everything works without a network from then on.
install-site: $(BIN)/python
	@cmp -s pyproject.toml $(VENV)/installed-check.toml || cmp -s pyproject.toml $(VENV)/installed-site.toml || { \
		$(BIN)/python -m pip install --disable-pip-version-check --editable . && \
		cp pyproject.toml $(VENV)/installed-site.toml; }

install-check: $(BIN)/python
	@cmp -s pyproject.toml $(VENV)/installed-check.toml || { \
		$(BIN)/python -m pip install --disable-pip-version-check --editable '.[test,check]' && \
		$(BIN)/python -m pip install --disable-pip-version-check --no-deps $(PEERS) && \
		cp pyproject.toml $(VENV)/installed-check.toml; }
	@if command -v npm >/dev/null && ! cmp -s package-lock.json node_modules/installed.json; then \
		npm ci --no-audit --no-fund && cp package-lock.json node_modules/installed.json || \
		echo "npm could not install what lints the pages' scripts"; fi

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then echo "expected Python 3.10 or newer, found none; name one with: make PYTHON=..."; exit 1; fi
	@$(PYTHON) $(NEW_ENOUGH) || { \
		echo "expected Python 3.10 or newer, $(PYTHON) is `$(PYTHON) --version 2>&1`; name one with: make PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

# The browser tests open the pages in a real browser. Where there is none and none can be had, pytest says what it skips.
browser:
	@for name in $(CHROME) chromium chromium-browser google-chrome google-chrome-stable chrome \
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do \
		command -v "$$name" >/dev/null && exit 0; done; \
	if [ "`id -u`" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing chromium for the browser tests"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || \
		echo "chromium could not be installed: the browser tests are skipped"; \
	else \
		echo "no Chrome or Chromium is installed: the browser tests are skipped (CHROME=... names one elsewhere)"; \
	fi
