"""What ``edgesr bench --denoisers`` measured, as a Markdown table by processor time.

Wall-clock time on a busy machine says how busy it was; processor time says what a step costs,
though others' use of the caches lengthens it as well.
"""

import statistics
from collections.abc import Mapping
from typing import Any

from edgesr.bench.results import timings_of
from edgesr.bench.timing import Timing
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
        DataError: it is of another kind, lacks a cost, or has too few repetitions for intervals.
    """
    timings = list(timings_of(document, where).values())
    if document.get("what") != WHAT or not timings:
        raise DataError(f"{where}: is no result of edgesr bench --denoisers; measure with it")
    count = len(timings[0].cpu_ms)
    if count < MIN_REPEATS:
        raise DataError(
            f"{where}: {count} repetitions, want {MIN_REPEATS} or more; measure with --repeats"
        )
    lines = [
        "| network | pixels in | GMAC | processor ms | fastest | µs a pixel | times the first |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    try:
        costs = {entry["name"]: entry["cost"] for entry in document["timings"]}
        lines += [_row(timing, costs[timing.name], timings[0]) for timing in timings]
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{where}: its costs are not whole ({error!r}); measure again with edgesr bench "
            "--denoisers"
        ) from error
    return "\n".join(lines) + "\n\n" + _about(document, count)


def _row(timing: Timing, cost: Mapping[str, Any], first: Timing) -> str:
    median = statistics.median(timing.cpu_ms)
    times = "1"
    if timing is not first:
        against = paired_ratio(timing.cpu_ms, first.cpu_ms)
        times = f"{against.median:.3g} ({against.low:.3g}-{against.high:.3g})"
    return (
        f"| `{timing.name}` | {cost['pixels']} | {cost['macs'] / 1e9:.2f} | {median:.1f} "
        f"| {min(timing.cpu_ms):.1f} | {1e3 * median / cost['pixels']:.2f} | {times} |"
    )


def _about(document: Mapping[str, Any], count: int) -> str:
    about, threads = document["environment"], document["threads"]
    return (
        f"Median processor time of {count} repetitions in turns, {threads} "
        f"thread{'s' * (threads != 1)}, of one step, timestep folded in; pixels are those of the "
        "low-resolution image; the last column has 99 % intervals of paired repetitions. Measured "
        f"by edgesr {about['edgesr']} on {about['cpu']} with torch "
        f"{about['packages'].get('torch')}; {about['load_1min']:.0f} programs wanted its "
        f"{about['cores']} cores."
    )
