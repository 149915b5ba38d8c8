# make demo   the main job on the bundled sample
# make test   everything that CI checks
#
# Both make what they need: system packages (as root on Debian and Ubuntu; otherwise they
# say which), a virtual environment in .venv, and the package in it.
#
# PYTHON=python3.12       another interpreter, 3.11 or newer
# TORCH_INDEX=URL         where to take PyTorch from, for a CUDA build for example

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
READY := $(VENV)/.ready
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet

.PHONY: demo test clean

demo: $(READY)
	$(VENV)/bin/napari-cyclegan3d demo --out out/demo

test: $(READY)
	scripts/check $(VENV)/bin

$(READY): pyproject.toml constraints.txt scripts/sysdeps.sh
	scripts/sysdeps.sh $(PYTHON)
	@echo "Making the environment in $(VENV); PyTorch and napari take a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),-c constraints.txt) torch
	$(PIP) $(if $(TORCH_INDEX),,-c constraints.txt) --editable ".[gui,test]"
	@touch $@

clean:
	rm -rf $(VENV) out build dist
