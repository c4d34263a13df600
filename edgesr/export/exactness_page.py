"""The page that says which operations are exact, made from a results file."""

import json
from pathlib import Path
from typing import Any

from edgesr.errors import DataError
from edgesr.export.op_check import FAMILIES, SCHEMA

_TEXT = """# What is bit-exact

<!-- Written by `edgesr verify --results benchmarks/results/exactness.json --docs \
docs/exactness.md`; change the template in edgesr/export/exactness_page.py, not this page. -->

LiteRT has three families of int8 kernels that round differently, so a file gives up to three
different pictures. `edgesr` simulates each of them with integers and compares with LiteRT itself:

- `xnnpack`, LiteRT's default on CPUs: convolutions multiply by a float32 factor and round half to
  even; ADD and SUB multiply by 21-bit integers and round half up.
- `builtin`, the optimized kernels without delegate: fixed-point multiplication, rounded twice. The
  second half goes up where values are treated in whole vectors, away from zero in what is left
  over; how many values a vector has depends on the operation. ADD rounds its operands once in
  whole vectors of 16 and twice in what is left over; SUB rounds them twice throughout.
- `reference`: the same, but always away from zero.

With int16 activations (`edgesr export --precision int16x8`) the three agree, for XNNPACK has no
such kernels: convolutions sum in 64 bits, multiply by a factor of 16 bits and round once, half up.

## Check a file

```
edgesr verify model.tflite                      # file against simulation; exit 1 on a mismatch
edgesr verify --replay model.certificate.json   # the same results on another machine?
edgesr verify --ops --results exactness.json    # this table, measured here
```

`edgesr verify` and `edgesr export` leave `model.certificate.json` (SHA-256 of the file, of every
input and of every output, by kernel family; mismatches; LiteRT's version; the processor's flags)
and `model.vectors.npz` (small inputs and their expected outputs). A file that was changed by one
byte is refused.

From start to end (`edgesr verify model.tflite`) a file may hold CONV_2D, DEPTHWISE_CONV_2D, ADD,
CONCATENATION, DEPTH_TO_SPACE, PAD, RELU and RELU6, with QUANTIZE or DEQUANTIZE at its ends, in int8
or int16; an int16 file moves pixels in int8, because DEPTH_TO_SPACE has no int16 kernel. The other
operations of the table are simulated one by one.
"""


def read_results(path: Path) -> dict[str, Any]:
    """Return the results of ``edgesr verify --ops``.

    Raises:
        DataError: the file is missing, damaged or another kind.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); make it with --ops") from error
    if not isinstance(results, dict) or results.get("schema") != SCHEMA:
        raise DataError(f"{path}: no {SCHEMA}; make it with edgesr verify --ops --results")
    return results


def exactness_page(results: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    by_op: dict[str, dict[str, dict[str, Any]]] = {}
    for one in results["operations"]:
        by_op.setdefault(one["op"], {})[one["kernels"]] = one
    families = [name for name in FAMILIES if any(name in found for found in by_op.values())]
    header = ["operation", "values", *families]
    rows = [_row(header), _row(["---"] * len(header))]
    for op, found in by_op.items():
        first = next(iter(found.values()))
        cells = [_cell(found.get(name)) for name in families]
        rows.append(_row([op, f"{first['values']:,}", *cells]))
    notes = [
        f"- {one['op']}: {one['status']} ({one['mismatches']:,} of {one['values']:,} values)."
        for one in results["operations"]
        if one["mismatches"]
    ]
    environment = results["environment"]
    measured = (
        "Random shapes, scales, zero points and codes; fused activations where the "
        f"operation has them. Seed {results['seed']}, {results['litert']}, "
        f"{environment['system']}, {environment['cpu']}."
    )
    return "\n".join(
        [_TEXT, "## Operations", "", measured, "", *rows, "", *notes, *_speed(results), ""]
    )


def _cell(found: dict[str, Any] | None) -> str:
    if found is None:
        return "not run"
    return "exact" if not found["mismatches"] else f"at most {found['max_error']} LSB"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _speed(results: dict[str, Any]) -> list[str]:
    speed = results["speed"]
    if speed is None:
        return []
    times = ", ".join(
        f"{name} {seconds:.2f} s ({seconds / speed['float']:.1f}x)"
        for name, seconds in speed["simulation"].items()
    )
    return [
        "",
        "## Speed",
        "",
        (
            f"One image {speed['shape']}, {speed['model']}, threads: {speed['threads']}; float "
            f"network {speed['float']:.2f} s; simulation {times}."
        ),
    ]
