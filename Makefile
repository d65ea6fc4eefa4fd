# make demo starts a JupyterHub here, make test runs all tests, make help lists all targets.
DEMO = .venv
VENV ?= .venv-test
PORT ?= 8000
BIN = $(VENV)/bin
PYTEST = $(BIN)/python -m pytest
# Tests of whole systems are repeated once if they fail; `make test` shows why each of them failed at first.
WHOLE = $(PYTEST) --reruns 1 -rsR
EXTRAS = dev,demo,browser,docs
# Files of tests, for the targets of one scheduler: make test-slurm ONLY=tests/test_contract.py
ONLY =
# How long make chaos runs, the first of its seeds (without one, it is the time), its scheduler (also
# slurm, gridengine or htcondor), and its Hub's database (also postgresql)
MINUTES = 10
SEED =
SITE = local
DATABASE = sqlite
# One of the environments of make test-versions: oldest, hub5 or newest
WHICH =

.DEFAULT_GOAL := help
.PHONY: help demo venv proxy labextension lint test test-unit test-jobs test-packaging test-tutorial test-hub test-clusters test-kernels test-slurm test-slurm24 test-gridengine test-htcondor test-oar test-browser test-browser-slurm test-versions chaos coverage bench dist docs clean links

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

demo: ## start a JupyterHub on the embedded queue, without scheduler or root (PORT=8000)
	@.ci/venv.sh $(DEMO) demo
	@.ci/proxy.sh $(DEMO)
	@exec $(DEMO)/bin/batchspawner demo --port $(PORT)

venv: ## make .venv-test with the project and what its tests need (PYTHON=python3.12)
	@.ci/venv.sh $(VENV) $(EXTRAS)

proxy: venv ## install configurable-http-proxy into .venv-test
	@.ci/proxy.sh $(VENV)

labextension: venv ## build the part of JupyterLab's extension that runs in the browser
	@.ci/labextension.sh $(VENV)

lint: venv ## check style, types, layers and that nothing needs a Python newer than 3.9
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vermin --quiet --violations --no-tips --target=3.9- --exclude contextlib.aclosing --exclude sys.stdlib_module_names \
		batchspawner wrapspawner tests benchmarks setup.py
	$(PYTEST) tests/test_layers.py

test: ## run all tests that this machine can run, and list those that it cannot
	@.ci/test.sh

test-unit: venv ## run the tests that only need Python
	$(PYTEST) -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal -m unit

test-jobs: venv ## run functions, cells and scripts as jobs of the embedded queue
	$(WHOLE) -n 4 -m jobs

test-packaging: proxy ## install the distribution as its users do
	$(PYTEST) -m packaging

test-tutorial: venv ## follow the tutorial, command by command, in a new account (root)
	$(WHOLE) -m tutorial

test-hub: proxy ## run whole JupyterHubs on the embedded queue
	@.ci/services.sh $(VENV)
	$(WHOLE) -n 2 -m "hub and not scheduler and not browser and not packaging and not tutorial"

test-kernels: venv ## run real kernels in jobs of the embedded queue
	$(WHOLE) -m "kernels and not scheduler and not browser"

test-clusters: venv ## run ipyparallel clusters on the embedded queue, and over a real ssh
	@.ci/clusters.sh $(VENV)
	$(WHOLE) -m "clusters and not scheduler"

test-slurm: proxy ## run the tests of a real Slurm (root on Debian)
	@.ci/slurm.sh
	@.ci/clusters.sh $(VENV)
	@test -n "$(ONLY)" || .ci/languages.sh $(VENV)
	$(WHOLE) -m "slurm and not browser" $(ONLY)

test-gridengine: proxy ## run the tests of a real Grid Engine (root on Debian)
	$(WHOLE) -m gridengine $(ONLY)

test-htcondor: proxy ## run the tests of a real HTCondor (root on Debian)
	@.ci/htcondor.sh
	$(WHOLE) -m htcondor $(ONLY)

test-oar: proxy ## run the tests of a real OAR (root on Debian)
	@.ci/oar.sh
	$(WHOLE) -m oar $(ONLY)

test-slurm24: proxy ## run what differs between versions of Slurm on a real 24.11 (root on Debian)
	@.ci/slurm24.sh
	$(WHOLE) -m slurm24 $(ONLY)

test-browser: proxy ## drive the pages in Chromium
	@.ci/browser.sh
	$(WHOLE) -m "browser and not scheduler"

test-browser-slurm: proxy ## drive the pages of starts on a real Slurm in Chromium (root on Debian)
	@.ci/slurm.sh
	@.ci/browser.sh
	$(WHOLE) -m "browser and slurm"

test-versions: ## run unit, jobs and Hub tests on the oldest and newest Python and JupyterHub, and on JupyterHub 5 (WHICH=oldest)
	@.ci/versions.sh $(WHICH)

chaos: proxy ## kill, freeze and confuse parts of a whole system at random (MINUTES=30 SEED=1 SITE=slurm DATABASE=postgresql)
	@test ! -e .ci/$(SITE).sh || .ci/$(SITE).sh
	@test "$(DATABASE)" != postgresql || .ci/services.sh $(VENV)
	MINUTES=$(MINUTES) SEED=$(SEED) SITE=$(SITE) DATABASE=$(DATABASE) $(PYTEST) -s -m chaos tests/chaos

coverage: proxy ## measure which lines and branches the tests of unit, jobs and hub reach
	@.ci/coverage.sh $(VENV)

bench: proxy ## compare the speed with other projects, and write docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

dist: venv ## build the distribution into dist/
	$(BIN)/python -m build

docs: venv ## build the documentation
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

links: docs ## check the external links of the documentation (needs a network)
	$(BIN)/python -m sphinx -b linkcheck -q docs docs/_build/links

clean: ## remove what other targets have made
	rm -rf .venv .venv-* .demo .coverage* build dist docs/_build *.egg-info .mypy_cache .ruff_cache .hypothesis
