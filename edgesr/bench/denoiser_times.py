"""What ``edgesr bench --denoisers`` measured, as a Markdown table by processor time.

Wall-clock time on a busy machine says how busy it was; processor time says what a step costs,
though others' use of the caches lengthens it as well.
"""

import statistics
from collections.abc import Mapping
from typing import Any

from edgesr.bench.results import timings_of
from edgesr.bench.verdict import MIN_REPEATS, paired_ratio
from edgesr.errors import DataError

START = "<!-- Times of `edgesr bench --denoisers`, written by `make diffusion-table`. -->"
END = "<!-- End of times. -->"
WHAT = "denoising step"


def times_section(document: Mapping[str, Any], where: str) -> str:
    """Return the table of a ``bench`` document and what it was measured on.

    Args:
        document: of ``edgesr bench --denoisers``.
        where: its file, for messages.

    Raises:
        DataError: it is of another kind, or of too few repetitions for intervals.
    """
    timings = list(timings_of(document, where).values())
    if document.get("what") != WHAT or not timings:
        raise DataError(f"{where}: is no result of edgesr bench --denoisers; measure with it")
    count = len(timings[0].cpu_ms)
    if count < MIN_REPEATS:
        raise DataError(
            f"{where}: {count} repetitions, want {MIN_REPEATS} or more; measure with --repeats"
        )
    costs = {entry["name"]: entry["cost"] for entry in document["timings"]}
    first = timings[0]
    lines = [
        "| network | pixels in | GMAC | processor ms | fastest | µs a pixel | times the first |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for timing in timings:
        cost, median = costs[timing.name], statistics.median(timing.cpu_ms)
        against = paired_ratio(timing.cpu_ms, first.cpu_ms)
        times = (
            "1"
            if timing is first
            else f"{against.median:.3g} ({against.low:.3g}-{against.high:.3g})"
        )
        lines.append(
            f"| `{timing.name}` | {cost['pixels']} | {cost['macs'] / 1e9:.2f} | {median:.1f} "
            f"| {min(timing.cpu_ms):.1f} | {1e3 * median / cost['pixels']:.2f} | {times} |"
        )
    return "\n".join(lines) + "\n\n" + _about(document, count)


def _about(document: Mapping[str, Any], count: int) -> str:
    about = document["environment"]
    return (
        f"Median processor time of {count} repetitions in turns, {document['threads']} thread, of "
        "one step, timestep folded in; pixels are those of the low-resolution image; the last "
        "column has 99 % intervals of paired repetitions. Measured by edgesr "
        f"{about['edgesr']} on {about['cpu']} with torch {about['packages'].get('torch')}; "
        f"{about['load_1min']:.0f} programs wanted its {about['cores']} cores."
    )
