"""Read what the two programs called ``benchmark_model`` print, from TensorFlow 1.14 to LiteRT 2.3.

Numbers are kept as printed: averages have six digits, ``std`` is cut to a whole number, and a
percentile is the element ``n * p // 100``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_N = r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_STATS = re.compile(
    rf"\bcount=(?P<count>\d+)(?: first=(?P<first>{_N}))?(?: curr=(?P<curr>{_N}))"
    rf"(?P<same>\(all same\))?"
    rf"(?: min=(?P<min>{_N}) max=(?P<max>{_N}) avg=(?P<avg>{_N}) std=(?P<std>{_N}))?"
    rf"(?: p5=(?P<p5>{_N}) median=(?P<p50>{_N}) p95=(?P<p95>{_N}))?"
)
_SUMMARY = re.compile(
    rf"Inference timings in us: Init: (?P<init>{_N}), First inference: (?P<first>{_N}), "
    rf"Warmup \(avg\): (?P<warmup>{_N}), Inference \(avg\): (?P<avg>{_N})"
)
_SUMMARY_TF1 = re.compile(
    rf"Average inference timings in us: Warmup: (?P<warmup>{_N}), Init: (?P<init>{_N}), "
    rf"(?:no stats|Inference): (?P<avg>{_N})"
)
_MEMORY = re.compile(
    rf"(?:Peak memory footprint|Memory footprint delta from the start of the tool) \(MB\): "
    rf"init=(?P<init>{_N}) overall=(?P<overall>{_N})"
)
_PEAK = re.compile(rf"Overall peak memory footprint \(MB\) via periodic monitoring: ({_N})")
_REPLACED = re.compile(
    r"Replacing (?P<nodes>\d+) out of (?P<of>\d+) node\(s\) with delegate "
    r"\((?P<delegate>[^)]*)\) node, yielding (?P<partitions>\d+) partitions"
    r"(?: for subgraph (?P<subgraph>\d+))?"
)
_APPLIED = re.compile(
    r"Explicitly applied (?P<delegate>.+?) delegate, and the model graph will be "
    r"(?P<how>completely|partially) executed by the delegate(?: w/ (?P<kernels>\d+) delegate)?"
)
_NOT_APPLIED = re.compile(
    r"Though (?P<delegate>.+?) delegate is explicitly applied, the model graph will not be "
    r"executed by the delegate"
)
_ACCELERATORS = re.compile(r"NNAPI accelerators available: \[([^\]]*)\]")
_UNKNOWN_FLAGS = re.compile(r"Unconsumed cmdline flags: (.+)")
_LITERT = re.compile(
    r"(?P<key>Model initialization|Warmup \((?:first|avg)\)|Inference \((?:avg|min|max|std)\)"
    rf"|Init footprint|Overall footprint|Peak memory):\s+(?P<value>{_N})"
    r"(?: (?:ms|MB))?(?: \((?P<runs>\d+) runs\))?"
)
_TROUBLE = re.compile(
    r"NNAPI acceleration is unsupported|Failed to apply|Disallowed CPU fallback"
    r"|Benchmarking failed|Failed to (?:allocate|load|initialize|resize|create|open|run|compile)"
    r"|CANNOT LINK EXECUTABLE|not executable|delegate is not supported|Error: |ERROR: "
)
_Block = Mapping[str, tuple[float, str | None]]
_REFUSALS = (
    "NNAPI acceleration is unsupported",
    "Failed to apply",
    "Disallowed CPU fallback",
    "delegate is not supported",
)


@dataclass(frozen=True, kw_only=True)
class Stats:
    """One ``count=…`` line; microseconds. What the version does not print is None."""

    count: int
    first: float | None = None
    min: float | None = None
    max: float | None = None
    avg: float | None = None
    std: float | None = None
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """One ``Replacing …`` line: nodes that a delegate took of a subgraph."""

    delegate: str
    nodes: int
    of: int
    partitions: int
    subgraph: int = 0


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What the program says about the delegate that was asked for.

    Attributes:
        delegate: name.
        how: ``completely``, ``partially`` or ``not``.
        kernels: parts that the delegate runs.
    """

    delegate: str
    how: str
    kernels: int


@dataclass(frozen=True, kw_only=True)
class RunnerLog:
    """Everything that a log tells; times in microseconds, memory in MiB, unknown is None.

    Attributes:
        warmup: the uncounted inferences.
        measured: the counted ones.
        init_us: loading.
        first_us: first inference.
        warmup_avg_us: mean of the uncounted inferences.
        memory_mb: ``init``, ``overall`` and ``peak``, as far as told.
        replaced: nodes that delegates took.
        applied: verdict on the delegate asked for.
        accelerators: of NNAPI.
        unknown_flags: that the program did not understand and ignored.
        trouble: lines that speak of failures.
    """

    warmup: Stats | None
    measured: Stats | None
    init_us: float | None
    first_us: float | None
    warmup_avg_us: float | None
    memory_mb: Mapping[str, float]
    replaced: tuple[Replaced, ...]
    applied: Applied | None
    accelerators: tuple[str, ...]
    unknown_flags: tuple[str, ...]
    trouble: tuple[str, ...]

    @property
    def refused(self) -> str | None:
        """The line that says that the delegate could not be used at all."""
        return next((t for t in self.trouble if any(w in t for w in _REFUSALS)), None)


def parse_log(text: str) -> RunnerLog:
    """Read a log of any version and of either program; lines that say nothing are skipped."""
    stats = [_stats(match) for match in _STATS.finditer(text)]
    summary = _last(_SUMMARY, text) or _last(_SUMMARY_TF1, text) or {}
    block: _Block = {}
    if not summary:  # that line of the older program has the words of the newer one's block
        block = {m["key"]: (float(m["value"]), m["runs"]) for m in _LITERT.finditer(text)}
    if block:
        stats = _block_stats(block)
    measured = stats[-1] if stats else None
    if measured is None and "avg" in summary:
        measured = Stats(count=0, avg=summary["avg"])
    warmup = stats[0] if len(stats) > 1 else None
    return RunnerLog(
        warmup=warmup,
        measured=measured,
        init_us=summary.get("init", _milli(block, "Model initialization")),
        first_us=summary.get("first", _first(warmup, block)),
        warmup_avg_us=summary.get("warmup", warmup.avg if warmup else None),
        memory_mb=_memory(text, block),
        replaced=tuple(_replaced(match) for match in _REPLACED.finditer(text)),
        applied=_applied(text),
        accelerators=tuple(
            filter(None, re.split(r"\s*,\s*", (_ACCELERATORS.findall(text) or [""])[-1]))
        ),
        unknown_flags=tuple(flag for line in _UNKNOWN_FLAGS.findall(text) for flag in line.split()),
        trouble=tuple(line.strip() for line in text.splitlines() if _TROUBLE.search(line)),
    )


def _stats(match: re.Match[str]) -> Stats:
    found = {
        key: float(value)
        for key, value in match.groupdict().items()
        if value is not None and key not in {"count", "same", "curr"}
    }
    if "avg" not in found:  # one inference, or all took the same time
        value = float(match["curr"])
        for key in ("first", "min", "max", "avg"):
            found.setdefault(key, value)
        found.setdefault("std", 0.0)
        found.setdefault("p50", value)
    return Stats(count=int(match["count"]), **found)


def _block_stats(block: _Block) -> list[Stats]:
    """Return the block of LiteRT's program as the lines that the older program prints."""
    stats = []
    for name in ("Warmup", "Inference"):
        runs = block.get(f"{name} (avg)", (0.0, None))[1]
        avg = _milli(block, f"{name} (avg)")
        if avg is not None:
            lowest, highest = (_milli(block, f"{name} ({key})") for key in ("min", "max"))
            stats.append(
                Stats(
                    count=int(runs or 0),
                    first=_milli(block, f"{name} (first)"),
                    min=lowest,
                    max=highest,
                    avg=avg,
                    std=_milli(block, f"{name} (std)"),
                )
            )
    return stats


def _first(warmup: Stats | None, block: _Block) -> float | None:
    found = _milli(block, "Warmup (first)")
    return warmup.first if found is None and warmup else found


def _milli(block: _Block, key: str) -> float | None:
    return 1e3 * block[key][0] if key in block else None


def _memory(text: str, block: _Block) -> dict[str, float]:
    found = _last(_MEMORY, text) or {}
    if peak := _PEAK.findall(text):
        found["peak"] = float(peak[-1])
    names = {"init": "Init footprint", "overall": "Overall footprint", "peak": "Peak memory"}
    found |= {name: block[key][0] for name, key in names.items() if key in block}
    return {name: value for name, value in found.items() if value >= 0}


def _replaced(match: re.Match[str]) -> Replaced:
    return Replaced(
        delegate=match["delegate"],
        nodes=int(match["nodes"]),
        of=int(match["of"]),
        partitions=int(match["partitions"]),
        subgraph=int(match["subgraph"] or 0),
    )


def _applied(text: str) -> Applied | None:
    if refused := _NOT_APPLIED.search(text):
        return Applied(delegate=refused["delegate"], how="not", kernels=0)
    found = _APPLIED.search(text)
    if found is None:
        return None
    kernels = int(found["kernels"] or 1)
    return Applied(delegate=found["delegate"], how=found["how"], kernels=kernels)


def _last(pattern: re.Pattern[str], text: str) -> dict[str, float] | None:
    matches = list(pattern.finditer(text))
    if not matches:
        return None
    return {key: float(value) for key, value in matches[-1].groupdict().items() if value}
