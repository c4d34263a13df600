# Two commands for newcomers: `make demo` and `make test`. They need Python 3.11 and make.
# `make test ARGS="-k packaging"` passes arguments to pytest.

PYTHON311 ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.edgesr-ready
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt
EXTRAS := train,demo,log,mixed,device,dev

.PHONY: setup demo test check gate fmt bench quantization-table diffusion-table diffusion-quant-table mixed-table binary-table zoo-table wheel clean

setup: $(READY)

# torch comes first and alone, so that a CPU build is taken where one is offered.
$(READY): pyproject.toml constraints.txt
	@"$(PYTHON311)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "error: make setup wants Python 3.11 as python3.11 or python3; install it, or give PYTHON311=..." >&2; exit 2; }
	@test -x $(PYTHON) || "$(PYTHON311)" -m venv $(VENV)
	$(PIP_INSTALL) torch==2.13.0
	$(PIP_INSTALL) -e '.[$(EXTRAS)]'
	@touch $@

demo: setup
	$(PYTHON) -m edgesr demo

test: setup
	$(PYTHON) -m pytest $(ARGS)

check: setup
	$(PYTHON) -m ruff format --check edgesr tests
	$(PYTHON) -m ruff check edgesr tests
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports --no-cache

# the shipped network against its own budgets and its accepted baseline
gate: setup
	$(PYTHON) -m edgesr check edgesr/zoo/ncnet_x3_int8.tflite --data demo \
	  --reference edgesr/zoo/ncnet_x3.safetensors --baseline benchmarks/results/ncnet_x3.check.json

fmt: setup
	$(PYTHON) -m ruff check --fix edgesr tests
	$(PYTHON) -m ruff format edgesr tests

bench: setup
	$(PYTHON) -m edgesr bench

# docs/quantization.md from the results; `edgesr quantize --compare --results` measures them
quantization-table: setup
	$(PYTHON) -m edgesr quantize --docs docs/quantization.md \
	  $(addprefix --results ,$(sort $(wildcard benchmarks/results/quantization_*.json)))

# docs/diffusion-quantization.md, likewise; measured by the same command with a denoiser
diffusion-quant-table: setup
	$(PYTHON) -m edgesr quantize --docs docs/diffusion-quantization.md \
	  $(addprefix --results ,$(sort $(wildcard benchmarks/results/diffusion_quantization_*.json)))

# docs/mixed-precision.md, from what `edgesr mixed --results` measured
mixed-table: setup
	$(PYTHON) -m edgesr mixed --docs docs/mixed-precision.md \
	  $(addprefix --results ,$(sort $(wildcard benchmarks/results/mixed_*.json)))

# the results in docs/diffusion.md; `edgesr diffusion --results` measures them, and
# `edgesr bench --denoisers --threads 1 --repeats 9 --output` the times
diffusion-table: setup
	$(PYTHON) -m edgesr diffusion --docs docs/diffusion.md \
	  $(addprefix --results ,$(sort $(wildcard benchmarks/results/diffusion_x*.json \
	    benchmarks/results/denoiser_steps.json)))
	$(PYTHON) -m edgesr ablate --docs docs/diffusion.md \
	  $(addprefix --results ,$(sort $(wildcard benchmarks/results/ablation_dream_*.json)))

# docs/zoo.md from cards and results; `edgesr bench`, `publish` and `ablate` measure them
zoo-table: setup
	$(PYTHON) -m edgesr models --docs docs/zoo.md

# the results in docs/binary.md; the same modules without --docs measure them
binary-table: setup
	$(PYTHON) -m edgesr.bench.binary_kernels --docs docs/binary.md
	$(PYTHON) -m edgesr.bench.binary_comparison --docs docs/binary.md
	$(PYTHON) -m edgesr ablate --docs docs/binary.md \
	  $(addprefix --results ,$(sort $(wildcard benchmarks/results/ablation_1bit_*.json)))

wheel: setup
	$(PYTHON) -m build

clean:
	rm -rf build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
