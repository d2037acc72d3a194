# mathcode. `make` lists the targets; everything is installed into .venv and nowhere else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Pinned apart, so that plain pip picks the build of this machine (CPU or CUDA).
TORCH := torch==2.13.0

# Prompts shown by the demo; where this file is missing it uses its own.
PROMPTS := ../shared/routing/dev.jsonl

# Where the benchmarks of the GPU leave their raw numbers.
RESULTS := bench-results

RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up test test-page faults shake load audit lint format fuzz bench bench-gpu docs lock hooks clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

demo: $(RUNTIME) ## Install, start everything, answer prompts of all kinds, stop everything
	$(BIN)/mathcode demo $(if $(wildcard $(PROMPTS)),--prompts $(PROMPTS))

up: $(RUNTIME) ## Install, start everything and keep it running until Ctrl-C
	$(BIN)/mathcode up

# Two tests at once, each with one thread for its arithmetic: half the time of one after the other on two cores.
# In the order of the folders, so that the files of few tests that take long do not come last.
test: lint ## Install, check style, types and imports, run all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

faults: $(DEV) ## Kill workers, servers and trainers in the middle of their work, then by a fixed seed (about 10 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist load tests/faults
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.fuzz --seed 1 --jobs 1500 --faults 20

# docs/promises.md says what it holds to; --jobs 30000 --faults 200 is a full run.
shake: $(DEV) ## Break everything for about five minutes, by a fresh seed
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults.fuzz --jobs 5000 --faults 50

load: $(DEV) ## Arrivals at 50 to 150 % of capacity, and a ledger of a million rows (about 10 minutes)
	$(BIN)/python -m benchmarks.load
	$(BIN)/python -m benchmarks.ledger_rows

audit: $(DEV) ## Look for known holes in the pinned dependencies (needs the internet)
	$(BIN)/python -m pip_audit --strict --disable-pip --no-deps --requirement constraints.txt

test-page: $(DEV) ## Use the page in Chromium by real clicks (about 4 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/page

lint: $(DEV) ## Check style, types and imports only
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

format: $(DEV) ## Rewrite the sources in the project's style
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

fuzz: $(DEV) ## Send 10,000 random and mangled requests to a running API (some minutes)
	$(BIN)/python -m tests.fuzzing --requests 10000

bench: $(DEV) ## Measure what needs no GPU: queue, footprint, tiny engines (and the router, with labelled prompts)
	$(BIN)/python -m benchmarks.queue_overhead
	$(BIN)/python -m benchmarks.footprint
	$(BIN)/python -m benchmarks.engine_cpu
	$(if $(wildcard $(PROMPTS)),$(BIN)/python -m benchmarks.routing $(PROMPTS))

bench-gpu: $(RUNTIME) ## Measure the engine at full 7B size on one CUDA GPU, after installing .[gpu] (about 10 minutes)
	@mkdir -p $(RESULTS)
	@failed=0; for model in mistral mamba2; do \
		$(BIN)/python -m benchmarks.engine $$model --json $(RESULTS)/engine-$$model.json \
			$(if $(wildcard $(PROMPTS)),--prompts $(PROMPTS)) || failed=1; \
	done; \
	$(BIN)/python -m benchmarks.nf4 --json $(RESULTS)/nf4.json || failed=1; \
	exit $$failed

docs: $(DEV) ## Write docs/configuration.md from the settings, and all documents as a site into build/site
	$(BIN)/python -m core.settings_reference > docs/configuration.md
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

# Local versions ("+cpu") and CUDA libraries differ between machines and are left to pip.
lock: $(DEV) ## Resolve all dependencies afresh into constraints.txt
	echo "$(TORCH)" > $(VENV)/torch-pin.txt
	$(BIN)/python -m piptools compile --quiet --upgrade --extra dev --strip-extras --allow-unsafe \
		--no-header --no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		--constraint $(VENV)/torch-pin.txt --output-file $(VENV)/resolved.txt setup.cfg
	sed -E -e '/^(#|$$|nvidia-[^m]|cuda-|triton|pip==)/d' -e 's/^([^ ;]*==[^ +;]*)\+[^ ;]*/\1/' \
		$(VENV)/resolved.txt > constraints.txt
	$(BIN)/python deploy/requirements.py

hooks: $(DEV) ## Check style and types before every commit
	$(BIN)/python -m pre_commit install

clean: ## Remove the virtual environment and caches (never the data directory)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "mathcode needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=/path/to/python3.11 ..." >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): setup.cfg pyproject.toml constraints.txt | $(BIN)/pip
	$(PIP) install -c constraints.txt "$(TORCH)"
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(DEV): $(RUNTIME)
	$(PIP) install -c constraints.txt -e ".[dev]"
	@touch $@
