"""The page that compares ways of quantizing, made from results files."""

from collections.abc import Sequence
from typing import Any

_TEXT = """# What quantization costs, and what helps

<!-- Written by `make quantization-table` from benchmarks/results/quantization_*.json; change the \
template in edgesr/bench/quantization_page.py, not this page. -->

Every row quantizes the same float network and runs it by integer simulation, which for 8 bits
equals the file value for value ([exactness](exactness.md)). **drop**: PSNR lost against the float
network, measured against HR in RGB, without a border as wide as the scale, in dB (negative: better
than float). **to float**: PSNR of the integers against the unrounded float output, in dB; rounding
the output to 8 bits alone gives 58.9. **colour**: mean of integers less float for the channel where
it is largest, in grey levels.

Rows with a plus sign add one part each to the row above. *Unprotected* is what most toolkits do:
moving-average ranges, calibrated grids for input and output, nearest weights. W4A8, W6A6 and W4A4
are simulated: no kernel computes them and they are never exported; their first and last layer and
the residual keep 8 bits. QAT rows were trained. DoReFa bends weights by a hyperbolic tangent and is
made to be trained with; on trained weights, which are not small here, it destroys the network.
"""


def quantization_page(documents: Sequence[dict[str, Any]]) -> str:
    """Return the Markdown page of one or more results files."""
    return "\n".join([_TEXT, *(_section(one) for one in documents)])


def _section(document: dict[str, Any]) -> str:
    network, sets = document["network"], document["sets"]
    title = f"## {network['model']} x{network['scale']}"
    floats = ", ".join(
        f"{name} ({facts['images']} images) {facts['float_psnr']:.3f} dB"
        for name, facts in sets.items()
    )
    machine = document["environment"]
    lines = [
        title,
        "",
        f"Float network: {floats}. Calibrated on {network['calibration']}.",
        f"Weights {network['sha256'][:12]}, torch {machine['packages']['torch']}.",
        "",
        f"| | {' | '.join(f'drop {name} | to float | colour' for name in sets)} |",
        f"|---|{'---:|' * 3 * len(sets)}",
    ]
    for row in document["rows"]:
        cells = [
            f"{figures['drop']:+.3f} | {figures['psnr_to_float']:.2f} | "
            f"{figures['colour_bias']:+.3f}"
            for figures in (row["figures"][name] for name in sets)
        ]
        mark = " *(simulated)*" if row["simulated"] else ""
        lines.append(f"| {row['name']}{mark} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
