# `make course` and `make test` are all that a new machine needs; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev course lab test upstream suites recordings browser test-all check bench soak regen docs constraints clean
export PYTHON

PY := .venv/bin/python
# Tests wait more than they work: three at once, a file's tests beside the cluster that they share.
BY_FILE := --dist loadfile --no-loadscope-reorder
PARALLEL := -n 3 $(BY_FILE)
RECORDINGS := -m recordings -o cache_dir=.pytest_cache/recordings
SUITES := -m "upstream and not slow" -o cache_dir=.pytest_cache/suites tests/upstream

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@tools/bootstrap.sh

setup-dev:
	@tools/bootstrap.sh dev

course: setup ## set up, start the embedded cluster, run all notebooks on it, leave them and an index in out/
	@$(PY) -m labkit run --out out --own-cluster --jobs 2

lab: setup ## open JupyterLab on the student edition in work/ (your changes there are never overwritten)
	@$(PY) -m labkit lab

test: setup-dev ## set up and pass the tests, the notebooks' validation included
	@$(PY) -m pytest $(PARALLEL) -m "not slow and not recordings and not browser and not upstream"

recordings: setup-dev ## compare with recordings of a real API server, where they lie beside the repository
	@$(PY) -m pytest $(RECORDINGS) || { echo "once more, what failed: some answers depend on the moment"; \
	  $(PY) -m pytest $(RECORDINGS) --last-failed --last-failed-no-failures none; }

upstream: setup-dev ## other projects' own tests on glassbox, kubectl and Helm of every release
	@$(PY) -m pytest -n 2 $(BY_FILE) -m upstream tests/upstream

suites: setup-dev ## the same, of kubectl the oldest release alone: what CI runs
	@$(PY) -m pytest -n 2 $(BY_FILE) $(SUITES) || { echo "once more, what failed: others' tests have waits of their own"; \
	  $(PY) -m pytest $(SUITES) --last-failed --last-failed-no-failures none; }

browser: setup-dev ## a lesson, the live view and the dashboard in Debian's chromium; screenshots in out/browser/
	@$(PY) -m pytest -m browser tests/browser

test-all: setup-dev ## every test, the slow ones too
	@$(PY) -m pytest $(PARALLEL) -m "not recordings and not browser"
	@$(MAKE) --no-print-directory recordings browser

check: setup-dev ## what CI and pre-commit check: style, types, layers
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: setup-dev ## print this machine's figures, medians of five
	@$(PY) -m tests.bench

soak: setup-dev ## wear a cluster down for some forty minutes: pods come and go, components die, nothing may be left
	@$(PY) -m pytest tests/test_soak.py -m slow -s

regen: setup-dev ## run the notebooks again and rewrite their stored outputs
	@$(PY) -m labkit regen

docs: setup-dev ## make docs/ anew from the code
	@$(PY) -m pytest -q tests/test_docs.py --rewrite

constraints: setup-dev ## pin what the environment holds now (make the environment with the oldest Python)
	@{ head -n 1 constraints.txt; $(PY) -m pip freeze --exclude-editable | sort -f; } > constraints.new && mv constraints.new constraints.txt

clean: ## remove the environment and what the targets above made (work/ is yours and stays)
	@rm -rf .venv out
