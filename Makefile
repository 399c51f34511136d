# Everything runs in a virtual environment of the checkout.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test fuzz soak mutants sbom audit lint docs clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs,peers]"
	touch $(READY)

demo: $(READY)  ## compile the VAE, train it on the digits, write runs/demo
	$(BIN)/pgc train examples/vae.pgc --data examples/data/digits.npz --epochs 200 --out runs/demo --overwrite

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest -n auto

fuzz: $(READY)  ## random, damaged and meaningless programs, for an hour or so; faults are kept in runs/fuzz
	$(BIN)/python -m tests.fuzz.check 0 2000
	$(BIN)/python -m tests.fuzz.networks 0 10000
	$(BIN)/python -m tests.fuzz.names

soak: $(READY)  ## programs, texts, networks, data files and kills at random for an hour; prints a table
	$(BIN)/python -m tests.fuzz.soak 60

sbom: .tools/.ready $(READY)  ## sbom.json, the bill of materials of the environment
	.tools/bin/cyclonedx-py environment $(BIN)/python --output-reproducible --output-file sbom.json

audit: .tools/.ready $(READY)  ## known weaknesses of what the environment holds; needs the network
	.tools/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

.tools/.ready:
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check "cyclonedx-bom>=7,<8" "pip-audit>=2.10,<3"
	touch .tools/.ready

mutants: $(READY)  ## break the compiler on purpose, a fault at a time, and show that a test notices each
	$(BIN)/python -m tests.fuzz.mutants

lint: $(READY)  ## style, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## build the documentation
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv .tools runs site sbom.json
