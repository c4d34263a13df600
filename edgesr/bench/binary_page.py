"""Times of packed convolutions as Markdown tables."""

from collections.abc import Mapping
from typing import Any

from edgesr.bench.load import TOLERANCE, said_load

MARKS = (
    "<!-- Results of `python -m edgesr.bench.binary_kernels`, written by `make binary-table`. -->",
    "<!-- End of results. -->",
)

_HEADS = {
    "float32": "faster than float32",
    "block": "than float32 block",
    "int8": "than int8",
}


def binary_section(document: Mapping[str, Any]) -> str:
    """Return the tables of a results document, without a heading."""
    parts: list[str] = []
    found = document["parts"]
    if "layers" in found:
        parts += _layers(found["layers"])
    if "threads" in found:
        parts += _threads(found["threads"])
    if "network" in found:
        parts += _network(found["network"])
    return "\n\n".join(parts)


def _layers(part: Mapping[str, Any]) -> list[str]:
    about = part["environment"]
    kernels = ", ".join(f"`{name}`" for name in part["kernels"] if name != "numpy")
    parts = [
        (
            f"Measured by edgesr {about['edgesr']} on {about['cpu']} with torch "
            f"{about['packages'].get('torch')} and {part['litert']}, one thread on one core; "
            f"{said_load(about, part['other_cores'])}. Kernels of this processor: {kernels}. "
            "Milliseconds are medians of processor time, which other programs on the same core "
            "disturb least; wall-clock times are in the results file. Ratios are of paired turns, "
            "in brackets their 99 % interval."
        ),
    ]
    for layer in part["rows"]:
        channels, size = layer["channels"], layer["size"]
        title = (
            f"**{channels} to {channels} channels, 3x3, {size}x{size}** "
            f"({layer['macs'] / 1e6:.0f} M multiply-accumulates)"
        )
        table = _table(layer["timings"], ("float32", "block", "int8"))
        parts.append("\n".join([title, "", *table]))
    return parts


def _threads(part: Mapping[str, Any]) -> list[str]:
    about, others = part["environment"], part["other_cores"]
    most = max(row["threads"] for row in part["rows"])
    lines = [
        "| layer | contender | threads | least ms | median ms | gain, least | gain, paired turns |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in part["rows"]:
        median, low, high = row["gain"]
        layer = f"{row['channels']} ch, {row['size']}x{row['size']}"
        lines.append(
            f"| {layer} | {row['name']} | {row['threads']} | {row['min_ms']:.2f} "
            f"| {row['median_ms']:.2f} | {row['gain_of_min']:.2f} "
            f"| {median:.2f} ({low:.2f}-{high:.2f}) |"
        )
    text = (
        f"**Threads**, 3x3 layers, wall clock, {len(part['rows'][0]['wall_ms'])} turns each; "
        f"{said_load(about, others)}."
    )
    if others is None or others + most > about["cores"] + TOLERANCE:
        text += (
            f" So {most} threads had no core each, and what the table says of them is the others' "
            "load: measure again on a quiet machine (`--part threads`)."
        )
    return ["\n".join([text, "", *lines])]


def _network(part: Mapping[str, Any]) -> list[str]:
    side = part["side"]
    title = (
        f"**One step of BI-DiffSR as published, {side}x{side}**, one thread, processor time; "
        f"{said_load(part['environment'], part['other_cores'])}"
    )
    return ["\n".join([title, "", *_table(part["timings"], ("float32",))])]


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
