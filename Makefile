# `make rehearsal` is where a newcomer starts; `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
export PULUMI_SKIP_UPDATE_CHECK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .toolchain/.installed ## Python packages, the `flow` command, Pulumi and its plugins (done once)

.venv/.installed: requirements.txt requirements-sandbox.txt requirements-dev.txt constraints.txt pyproject.toml
	@echo "==> Python packages into .venv (about a minute)" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: Python 3.11 or newer is needed, $(PYTHON) is older or missing. Name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment. On Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/pip install --quiet -r requirements-dev.txt
	@$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

.toolchain/.installed: .venv/.installed $(shell find toolchain -type f -not -path '*/__pycache__/*' 2>/dev/null)
	@echo "==> Pulumi and its plugins into .toolchain (minutes where they have to be built)" >&2
	@$(BIN)/python -m toolchain.install
	@touch $@

.PHONY: rehearsal
rehearsal: setup ## The whole flow once, in the sandbox; KEEP=1 leaves it running
	@$(BIN)/flow rehearse $(if $(KEEP),--keep)

.PHONY: test
test: setup ## Every test, in two processes: units, sandbox, the real engine (starts the sandbox)
	@$(BIN)/pytest --numprocesses 2 $(PYTEST_ARGS)

.PHONY: unit
unit: setup ## The tests that need neither Docker nor the engine: some four minutes
	@$(BIN)/pytest --numprocesses 2 tests/unit $(PYTEST_ARGS)

# Found anew each time, so that a new one is read without a word here.
ELSEWHERE := -name .git -o -name .venv -o -name .toolchain -o -name .sandbox
DOCKERFILES = $(shell find . \( $(ELSEWHERE) \) -prune -o -name '*Dockerfile' -print | sort)
SHELL_SCRIPTS = $(shell find . \( $(ELSEWHERE) \) -prune -o -type f -print \
	| xargs awk 'FNR == 1 && /^\#!.*sh$$/ { print FILENAME } { nextfile }' | sort)

.PHONY: lint
lint: setup ## ruff, mypy --strict, bandit, pip-audit; shellcheck, hadolint, actionlint, zizmor
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@set -- $(wildcard .github/workflows/*.yml); test $$# = 0 || .toolchain/bin/actionlint -shellcheck $(BIN)/shellcheck "$$@"
	@set -- $(wildcard .github/workflows/*.yml action/action.yml); test $$# = 0 || $(BIN)/zizmor --quiet --offline "$$@"
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive .
	@$(BIN)/shellcheck $(SHELL_SCRIPTS)
	@$(BIN)/hadolint $(DOCKERFILES)
	@$(BIN)/python -m toolchain.audit --where-reachable

.PHONY: audit
audit: setup ## Known vulnerabilities of the pinned Python packages; fails where nobody can be asked
	@$(BIN)/python -m toolchain.audit

.PHONY: secrets
secrets: setup ## Secrets in what git keeps, history included (builds gitleaks the first time)
	@$(BIN)/python -m toolchain.leaks

.PHONY: script
script: ## feature-demo.sh, for a demo on a server that exists (needs no set-up)
	@$(PYTHON) -m feature_demo > feature-demo.sh.new
	@mv feature-demo.sh.new feature-demo.sh
	@echo "feature-demo.sh is made: copy it to a Debian 13 server and run it there" >&2

.PHONY: bench
bench: setup ## Seconds and CPU of up, redeploy and destroy, against Compose by hand; pushes to live URLs
	@$(BIN)/python -m bench.run

.PHONY: bench-setup
bench-setup: setup ## Seconds of a set-up from nothing, in a clone with empty caches: some ten minutes
	@$(BIN)/python -m bench.setup

.PHONY: clean
clean: ## Stop the sandbox and remove all that was made, the built toolchain's cache excepted
	@test ! -x $(BIN)/flow || test ! -d .sandbox || $(BIN)/flow sandbox reset --yes
	rm -rf .venv .toolchain .sandbox bench/results .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
