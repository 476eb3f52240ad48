# `make demo` and `make test` are all that a newcomer needs; the README says what each target does.

VENV ?= .venv
PYTHON ?= python3
ENGINE ?= auto
BIN := $(VENV)/bin
READY := $(VENV)/ready
LAB := $(VENV)/lab
# JupyterLab's own yarn; its scripts call jupyter-builder, which lies in the environment.
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
	$(BIN)/python labextension/generate.py --check
	cd labextension && $(JLPM) lint:check

jest: labextension/node_modules
	cd labextension && $(JLPM) test

tests: $(READY) $(LAB)
	$(BIN)/pytest

# After a change of the options of a load, or of openapi.json: what is written from them. `make lint` fails where it is stale.
generate: $(READY) labextension/node_modules
	$(BIN)/python labextension/generate.py
	cd labextension && $(JLPM) generate

# Everything is installed from the lock, hashes checked, so that tomorrow's install is today's. The package itself
# is installed in place; its JavaScript is built by $(LAB), only where a browser needs it.
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

# `develop` links the built files into the environment, so that JupyterLab finds what the next build makes.
$(LAB): $(READY) labextension/node_modules $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null)
	cd labextension && $(JLPM) build:prod
	$(BIN)/jupyter-builder develop . --overwrite
	@touch $@

# Without a registry: the image that models are built on is made from Debian's own packages (as root).
base-image: $(READY)
	$(BIN)/gpumodels base-image

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra test --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --upgrade --output-file requirements.lock

clean:
	rm -rf $(VENV) gpumodels/labextension labextension/node_modules labextension/lib build-demo dist
