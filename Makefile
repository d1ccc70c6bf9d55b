# `make` alone explains itself. Everything runs in .venv, made on first use from a bare Python 3.11 or newer.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
READY  := $(VENV)/.ready
PHANTOM := outputs/phantom
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help setup demo test parity check lint types format phantom benchmarks results wheel clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## a virtual environment with everything in it

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; try make PYTHON=python3.12"; exit 1; }
	@echo "setting up $(VENV) (once; a few minutes)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --editable '.[test]'
	@$(VENV)/bin/pip install --quiet --no-deps 'litdata>=0.2.76'
	@touch $@

demo: $(READY)  ## a CT from a report and a reconstruction, with the shipped phantom weights (minutes)
	@$(RUN) -m generatect.phantom num=1 seed=7 output=outputs/demo/scans
	@$(RUN) -m generatect.generate output=outputs/demo/generated \
	  prompt="There is a large pleural effusion on the right. The heart is enlarged. No nodule or consolidation is seen."
	@$(RUN) -m generatect.reconstruct input=outputs/demo/scans output=outputs/demo/reconstructed

test: $(READY)  ## all tests
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 -q

parity: $(READY)  ## agreement with the original's recorded numbers, as a table (GENERATECT_FIXTURES=FOLDER)
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -q -m parity

check: lint types test  ## what CI runs

lint: $(READY)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(READY)
	@$(VENV)/bin/pyright

format: $(READY)  ## formats the code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

phantom: $(READY)  ## trains the three stages on phantoms from nothing and measures them (2 cores, see the README)
	@$(RUN) -m generatect.train experiments=phantom/ctvit output=$(PHANTOM)/ctvit resume=auto
	@$(RUN) -m generatect.train experiments=phantom/superres tokenizer=$(PHANTOM) output=$(PHANTOM)/superres resume=auto
	@$(RUN) -m generatect.train experiments=phantom/transformer tokenizer=$(PHANTOM) output=$(PHANTOM)/transformer resume=auto
	@$(RUN) -m generatect.prove weights=$(PHANTOM) output=$(PHANTOM)/proof

results: $(READY)  ## the results table with intervals and floors, shipped weights on phantoms, and its page (about 10 minutes on 2 cores)
	@$(RUN) -m generatect.evaluate table num_volumes=48 output=outputs/results

benchmarks: $(READY)  ## speed and memory against the original's way of computing (half an hour)
	@OMP_NUM_THREADS=1 $(RUN) benchmarks/speed.py
	@OMP_NUM_THREADS=1 $(RUN) benchmarks/few_steps.py
	@OMP_NUM_THREADS=1 $(RUN) benchmarks/planned.py
	@OMP_NUM_THREADS=1 $(RUN) benchmarks/costs.py

wheel: $(READY)  ## dist/generatect-*.whl
	@$(RUN) -m build --wheel

clean:  ## removes outputs and caches of this checkout, not .venv
	@rm -rf outputs multirun dist build .pytest_cache .ruff_cache
