# Everything sets up .venv by itself; a second run finds it done and goes straight on.
PYTHON ?= python3

.PHONY: help setup demo test check constraints clean

help:            ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

setup:           ## make .venv with everything in it
	@$(PYTHON) bootstrap.py

demo: setup      ## train, evaluate and ask a small model on a simulated shop
	@.venv/bin/palate demo

test:            ## run all tests
	@$(PYTHON) bootstrap.py --browser
	@scripts/test

check: setup     ## format, lint, types, layers
	@scripts/check

constraints:     ## resolve all dependencies anew and pin them in constraints.txt
	@$(PYTHON) bootstrap.py --constraints

clean:           ## remove .venv and every cache
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache demo
