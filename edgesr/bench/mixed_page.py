"""The page on mixed precision, made from results files."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from edgesr.bench.mixed import mean_row

_TEXT = """# Mixed precision: which layer gets which widths

<!-- Written by `make mixed-table` from benchmarks/results/mixed_*.json; change the template in
edgesr/bench/mixed_page.py, not this page. -->

```sh
edgesr mixed ncnet_x3 --bytes-budget 0.6                       # 60 % of W8A8's weight bytes
edgesr mixed ncnet_x3 --bytes-budget 0.75 --bops-budget 0.5 --candidates wi8_ai8 wi4_ai8
edgesr mixed resshift_px_s_x4 --bytes-budget 0.6 --data Set5 --limit 2 --results mixed_mine.json
edgesr mixed ncnet_x3 --bytes-budget 0.6 --output mixed.safetensors    # edgesr eval runs it
```

The solver comes with `pip install 'edgesr[mixed]'`.

Every trained convolution takes one of W8A8, W8A16, W4A8 and W6A6 (`--candidates`): the width of its
weights and that of the tensor that it reads. A tensor has one grid whoever reads it, so layers that
share an input share its width. Images, what is added to the output, and tensors that only an ADD
reads keep 8 bits. Of a denoiser one assignment serves all steps, since the weights are stored once.

- **Sensitivity**: the squared error of the network's output on calibration crops with one layer's
  weights, or one tensor, in the candidate's width and *everything else in float32*, as PSNR; of a
  denoiser its prediction, mean over the steps. Among 8-bit neighbours every measurement would hold
  their error once more and could not be added. Weights are rounded as they will be (GPTQ).
- **Assignment**: the least sum of sensitivities with the bytes of weights and the bit operations
  (MACs times both widths) within their budgets, shares of what W8A8 costs; solved to the proven
  optimum by HiGHS (`scipy.optimize.milp`). Where nothing fits, the message says what would.
  Without `--bops-budget` the bit operations of W8A8 are the limit. Bytes are those of weights
  packed without padding; biases, scales and channel copies are not counted.
- **Predicted** is the sum of sensitivities and of what the tensors cost that always have 8 bits;
  **measured** is the whole network in integers on the same crops, both as PSNR of the output
  against float (peak 255 grey levels, or 2 for a denoiser's prediction).
- **to float** and **drop** are measured on the images named: PSNR to the float network's image
  (from the same noise), and PSNR to HR that float has more.
- **random**: the same program with random sensitivities, mean of several: what the budget alone
  gives.
- Rows of one scheme keep 8-bit weights in the first and last layer, and take the same path as the
  others, so that nothing but the assignment differs. `edgesr quantize` has a recipe for each scheme
  and equalizes channels for W8A8 ([what that gives](quantization.md)).

The program minimises the error on the calibration crops and nothing else: where layers are about
equally sensitive, as in a small plain network, it gains little, and on other images it may lose a
little to a scheme that is right by rule. Its candidates do not hold W8A6, which the last layer of
W6A6 has.

## What becomes a file

`edgesr export` writes W8A8 in all layers (int8), or 16-bit activations in all (`--precision
int16x8`, from the float network). Every other assignment is simulated: `edgesr mixed --output`
keeps its integers, `edgesr eval` runs them, and `edgesr export` refuses them with the layers that
are in the way. Integers of a denoiser in mixed precision are measured and not kept.

MixDQ splits layers into those that change the content of an image and those that change its quality
and solves a program for each; a super-resolution network takes its content from the low-resolution
image, so there is one measure here. Source: Zhao et al. 2024 (MixDQ), arXiv 2405.17873.
"""


def mixed_page(documents: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown page of one or more results files."""
    return "\n".join([_TEXT, *(_section(one) for one in documents)])


def _section(document: dict[str, Any]) -> str:
    network = document["network"]
    sets = ", ".join(
        f"{name} (images: {facts['images']})" for name, facts in document["sets"].items()
    )
    timesteps = ", ".join(map(str, network.get("timesteps", ())))
    steps = f", sampled at {timesteps}" if timesteps else ""
    facts = (
        f"Measured on {sets}. Calibrated on {network['calibration']}. Weights "
        f"{network['sha256'][:12]}, {network['weight_bytes']:,} bytes in W8A8, torch "
        f"{document['environment']['packages']['torch']}."
    )
    return "\n".join(
        [
            f"## {network['model']} x{network['scale']}{steps}",
            "",
            facts,
            "",
            *_comparison(document),
            "",
            *_against_uniform(document),
            "",
            *_layers(document),
            "",
        ]
    )


def _comparison(document: dict[str, Any]) -> list[str]:
    names = list(document["sets"])
    columns = " | ".join(f"{name} to float | drop" for name in names)
    lines = [
        f"| | bytes | bit operations | predicted dB | measured dB | {columns} | file |",
        f"|---|---:|---:|---:|---:|{'---:|' * 2 * len(names)}---|",
    ]
    for row in shown_rows(document):
        cells = [
            f"{row['figures'][name]['psnr_to_float']:.2f} | {row['figures'][name]['drop']:+.3f}"
            for name in names
        ]
        lines.append(
            f"| {row['title']} | {row['size']:.3f} | {row['operations']:.3f} | "
            f"{row['predicted_db']:.2f} | {row['measured_db']:.2f} | {' | '.join(cells)} | "
            f"{'int8' if row['exported'] else 'no'} |"
        )
    return lines


def _against_uniform(document: dict[str, Any]) -> list[str]:
    """Say what an assignment gives at the budget of each uniform scheme."""
    shown = {(row["kind"], row["name"]): row for row in shown_rows(document)}
    lines = []
    for (kind, name), uniform in shown.items():
        label = name.removesuffix(" (simulated)")
        mixed = shown.get(("mixed", f"as {label}"))
        if kind != "uniform" or mixed is None:
            continue
        parts = []
        for images, own in uniform["figures"].items():
            found = mixed["figures"][images]["psnr_to_float"]
            parts.append(f"{found:.2f} dB to float on {images}, {label} {own['psnr_to_float']:.2f}")
        lines.append(
            f"- At the budget of {label}: {'; '.join(parts)}; {mixed['size']:.3f} of the bytes "
            f"against {uniform['size']:.3f}."
        )
    return lines


def shown_rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a table with their ``title``, random ones of a budget as their mean."""
    found = []
    for (kind, name), together in groupby(
        document["rows"], key=lambda row: (row["kind"], row["name"])
    ):
        row = mean_row(list(together))
        found.append({**row, "title": name if kind == "uniform" else f"{kind}: {name}"})
    return found


def _layers(document: dict[str, Any]) -> list[str]:
    """Return sensitivities and the precision that every budget gives, by layer."""
    schemes = list(document["candidates"])
    mixed = [row for row in document["rows"] if row["kind"] == "mixed"]
    columns = " | ".join([*document["candidates"].values(), *(row["name"] for row in mixed)])
    lines = [
        "Sensitivity in dB by layer (higher costs less), and the precision that each budget gives:",
        "",
        f"| layer | weights | {columns} |",
        f"|---|---:|{'---:|' * len(schemes)}{'---|' * len(mixed)}",
    ]
    for layer in document["layers"]:
        errors = layer["sensitivity_db"]
        cells = [f"{errors[name]:.1f}" if name in errors else "" for name in schemes]
        given = [row["layers"][layer["name"]] for row in mixed]
        lines.append(
            f"| {layer['name']} | {layer['weights']:,} | {' | '.join(cells)} | "
            f"{' | '.join(given)} |"
        )
    return lines
