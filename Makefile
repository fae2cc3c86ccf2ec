PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TRAIN := $(VENV)/.train
DEV := $(VENV)/.dev
BENCH := .venv-bench
CONFIG ?= configs/digits_mlp.toml

.PHONY: train test test-slow lint docs bench parity clean

train: $(TRAIN)  ## train the default config on the bundled digits
	$(BIN)/jaxdict train $(CONFIG)

# A file stays on one worker: what it compiles once it does not compile again on the other.
test: $(DEV)  ## the whole suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(DEV)  ## the heavy checks too
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow"

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(DEV)  ## write docs/dictionary.md from the entries
	$(BIN)/python docs/build.py

bench: $(BENCH)/.installed  ## measure beside the peers; writes benchmarks/results
	$(BENCH)/bin/python benchmarks/train.py
	$(BENCH)/bin/python benchmarks/lanes.py
	$(BENCH)/bin/python benchmarks/search.py
	$(BENCH)/bin/python benchmarks/imports.py
	$(BENCH)/bin/python benchmarks/quality.py
	$(BENCH)/bin/python benchmarks/accuracy.py
	$(BENCH)/bin/python benchmarks/accuracy_vectors.py
	$(BENCH)/bin/python benchmarks/speed.py
	$(BENCH)/bin/python benchmarks/optimizers.py
	$(BENCH)/bin/python benchmarks/layers.py
	$(BENCH)/bin/python benchmarks/vanishing_gradients.py
	$(BENCH)/bin/python benchmarks/pretraining.py

parity: $(BENCH)/.installed  ## beside the live frameworks over random configurations; writes benchmarks/results
	$(BENCH)/bin/python benchmarks/parity_torch.py
	$(BENCH)/bin/python benchmarks/parity_keras.py
	$(BENCH)/bin/python benchmarks/parity_formulas.py
	$(BENCH)/bin/python benchmarks/parity_layers.py
	$(BENCH)/bin/python benchmarks/record_stacks.py

# One environment, in two layers: what training needs, and what tests and linters need on top.
$(TRAIN): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[train]'
	@touch $@

$(DEV): $(TRAIN)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# torch is pinned to a release with a CPU build; it must be there before anything asks for a newer one.
$(BENCH)/.installed: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade pip
	$(BENCH)/bin/python -m pip install --quiet torch==2.13.0
	$(BENCH)/bin/python -m pip install --quiet --editable '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) $(BENCH) runs .jax_cache
