# Needs Python 3.11 (or newer with a torch build for it) and nothing else.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := train,demo,log,dev

.PHONY: setup demo test check fmt bench wheel clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found; make PYTHON=python3"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

demo: setup
	$(BIN)/edgesr demo

test: setup
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/edgesr bench

wheel: setup
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist *.egg-info
