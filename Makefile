# make site: the report, from nothing.  make test: every test.  make check: what CI runs.  make bench: the README's figures.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: site test check lint bench browser clean

site: $(VENV)/installed
	$(RUN) -m generator build
	@echo "open $(CURDIR)/site/index.html"

test: $(VENV)/installed-test browser
	$(RUN) -m pytest

check: lint test

lint: $(VENV)/installed-test
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

bench: $(VENV)/installed
	$(RUN) benchmarks/build_time.py

# The stamps keep pip away, and so the network, until pyproject.toml changes.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet -e .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet -e '.[test,check]'
	@touch $@ $(VENV)/installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "expected Python 3.10 or newer, got $$($(PYTHON) --version); name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Chromium for the browser tests where it can be had; without it they are skipped and say so.
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do \
		command -v $$name > /dev/null && exit 0; done; \
	if [ -n "$$CHROME" ] || [ -d "/Applications/Google Chrome.app" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null \
		|| echo "chromium could not be installed: the browser tests will be skipped"; \
	else echo "no Chrome or Chromium found: the browser tests will be skipped"; fi

clean:
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache build dist
