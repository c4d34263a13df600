"""Times of packed convolutions as Markdown tables."""

from collections.abc import Mapping
from typing import Any

MARKS = (
    "<!-- Results of `python -m edgesr.bench.binary_kernels`, written by `make binary-table`. -->",
    "<!-- End of results. -->",
)

_HEADS = {
    "float32": "faster than float32",
    "block": "than float32 block",
    "int8": "than int8",
}

_THREADS = (
    "**Threads**, 64 channels, 128x128, wall clock. More of them help only where a core is idle; "
    "see the load above."
)


def binary_section(document: Mapping[str, Any]) -> str:
    """Return the tables of a results document, without a heading."""
    about = document["environment"]
    kernels = ", ".join(f"`{name}`" for name in document["kernels"] if name != "numpy")
    parts = [
        (
            f"Measured by edgesr {about['edgesr']} on {about['cpu']} with torch "
            f"{about['packages'].get('torch')} and {document['litert']}, one thread on one core, "
            f"load {about['load_1min']} on {about['cores']} cores: other programs were running. "
            f"Kernels of this processor: {kernels}. Milliseconds are medians of processor time, "
            "which other programs on the same core disturb least; wall-clock times are in the "
            "results file. Ratios are of paired turns, in brackets their 99 % interval."
        ),
    ]
    for layer in document["layers"]:
        channels, size = layer["channels"], layer["size"]
        title = (
            f"**{channels} to {channels} channels, 3x3, {size}x{size}** "
            f"({layer['macs'] / 1e6:.0f} M multiply-accumulates)"
        )
        parts.append(
            "\n".join([title, "", *_table(layer["timings"], ("float32", "block", "int8"))])
        )
    if document["threads"]:
        lines = [f"| {row['name']} | {row['median_ms']:.2f} |" for row in document["threads"]]
        head = ["| contender, threads | ms, wall clock |", "|---|---:|"]
        parts.append("\n".join([_THREADS, "", *head, *lines]))
    if document["network"]:
        network = document["network"]
        side = network["side"]
        title = f"**One step of BI-DiffSR as published, {side}x{side}**"
        parts.append("\n".join([title, "", *_table(network["timings"], ("float32",))]))
    return "\n\n".join(parts)


def _table(rows: list[dict[str, Any]], against: tuple[str, ...]) -> list[str]:
    heads = ["", "ms", *(_HEADS[name] for name in against)]
    lines = [f"| {' | '.join(heads)} |", f"|---|---:|{'---:|' * len(against)}"]
    for row in rows:
        cells = [row["name"], f"{row['median_cpu_ms']:.2f}"]
        for name in against:
            median, low, high = row[f"times_{name}"]
            cells.append(f"{median:.2f} ({low:.2f}-{high:.2f})")
        lines.append(f"| {' | '.join(cells)} |")
    return lines
