# Newcomers need only `make demo` and `make test`. README.md and CONTRIBUTING.md describe the targets.

VENV ?= .venv
PYTHON ?= python3
ENGINE ?= auto
BIN := $(VENV)/bin
READY := $(VENV)/ready
LAB := $(VENV)/lab
# JupyterLab's own yarn. Its scripts call jupyter-builder, which is installed in the environment.
JLPM := PATH="$(abspath $(BIN)):$$PATH" jlpm

.PHONY: demo lab test lint jest tests generate lock base-image clean

demo: $(READY)
	ENGINE=$(ENGINE) $(BIN)/python notebooks/demo.py

lab: $(READY) $(LAB)
	ENGINE=$(ENGINE) $(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/01-quickstart.ipynb

test: lint jest tests

lint: $(READY) labextension/node_modules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.words
	$(BIN)/python labextension/generate.py --check
	cd labextension && $(JLPM) lint:check

jest: labextension/node_modules
	cd labextension && $(JLPM) test

tests: $(READY) $(LAB)
	$(BIN)/pytest

# Write the files that repeat the options of a load or the types of openapi.json. `make lint` fails if they are stale.
generate: $(READY) labextension/node_modules
	$(BIN)/python labextension/generate.py
	cd labextension && $(JLPM) generate

# Install everything from the lock and check the hashes, so that each install has the same packages. The package itself
# is installed in place. Its JavaScript is built by $(LAB), which only targets with a browser need.
$(READY): requirements.lock pyproject.toml labextension/package.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gpumodels needs Python 3.11 or newer: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' || { echo "Python cannot make environments here: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ {here = 1; print; next} /^ / {if (here) print; next} {here = 0}' requirements.lock >$(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	SKIP_JUPYTER_BUILDER=1 $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

labextension/node_modules: labextension/yarn.lock labextension/package.json | $(READY)
	cd labextension && $(JLPM) install --immutable
	@touch $@

# `develop` links the built files into the environment, so that JupyterLab finds the files of later builds too.
$(LAB): $(READY) labextension/node_modules $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null)
	cd labextension && $(JLPM) build:prod
	$(BIN)/jupyter-builder develop . --overwrite
	@touch $@

# Make the image that models are built on from Debian's packages, for machines without a registry. Needs root.
base-image: $(READY)
	$(BIN)/gpumodels base-image

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra test --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --upgrade --output-file requirements.lock

clean:
	rm -rf $(VENV) gpumodels/labextension labextension/node_modules labextension/lib build-demo dist
