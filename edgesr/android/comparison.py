"""Two results against each other, launch by launch.

Inferences of one launch resemble each other far more than launches do, so the launches are what is
counted: the ratio of two cases is the median of all ratios of a launch of one to a launch of the
other, and its interval is that of Mann and Whitney's test. Three launches against three, the
default of ``device bench``, allow no more confidence than 90 %, four against four 95 %; the result
says which. Fewer than three get no verdict.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from edgesr.errors import DataError

SCHEMA = "edgesr/device-comparison/1"
CONFIDENCE = 0.95
LEAST_CONFIDENCE = 0.9
"""Of an interval that a verdict may rest on: three launches against three."""

MIN_EFFECT = 0.02
"""Smaller differences are none."""

_ROUNDING = 1e-9
MAX_WARMER = 5.0
"""Degrees that the starts of two results may differ by."""

Allowance = Literal["device", "thermal"]
Verdict = Literal["faster", "slower", "no difference", "not valid", "too few launches"]


@dataclass(frozen=True, kw_only=True)
class Span:
    """How many times longer one case takes than another.

    Attributes:
        ratio: after over before.
        low: lower end of the interval.
        high: upper end.
        confidence: of the interval; below 0.95 where there are too few launches.
    """

    ratio: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True, kw_only=True)
class Change:
    """One case in both results.

    Attributes:
        case: its name.
        statistic: what is compared of each launch: ``p50``, or ``avg`` where there is no median.
        before_us: median of the launches in the first result.
        after_us: in the second.
        span: ratio and interval.
        verdict: what may be said.
        notes: why the numbers are weak.
    """

    case: str
    statistic: str
    before_us: float
    after_us: float
    span: Span
    verdict: Verdict
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two results say about each other.

    Attributes:
        changes: cases in both.
        only: cases in one of them.
        notes: what differs between the two.
    """

    changes: tuple[Change, ...]
    only: tuple[str, ...]
    notes: tuple[str, ...]

    def slower(self, limit: float) -> list[str]:
        """Return the cases that are surely slower, and by more than ``limit``, a fraction."""
        return [
            one.case
            for one in self.changes
            if one.verdict == "slower" and one.span.ratio > 1 + limit
        ]

    def undecided(self, limit: float) -> list[str]:
        """Return the cases that may be slower by more than ``limit``, which no verdict excludes."""
        return [
            one.case
            for one in self.changes
            if one.verdict == "not valid"
            or (one.verdict == "too few launches" and one.span.ratio > 1 + limit)
        ]

    def document(self) -> dict[str, Any]:
        """Return the JSON-able form."""
        return {"schema": SCHEMA, **asdict(self)}


def compare_results(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    names: tuple[str, str],
    allow: frozenset[Allowance] = frozenset(),
) -> Comparison:
    """Compare case by case; a single case each is compared whatever the models are called.

    Args:
        before: result that is the measure.
        after: result that is judged.
        names: of the two, for messages.
        allow: ``device`` for different phones, ``thermal`` for different heat.

    Raises:
        DataError: one is emulated and the other is not, they are of different phones or heat and
            that is not allowed, or they have no case in common.
    """
    notes = _check(before, after, names, allow)
    first, second = ({case["id"]: case for case in one["cases"]} for one in (before, after))
    pairs = [(name, first[name], second[name]) for name in first if name in second]
    if not pairs and len(first) == len(second) == 1:
        (a, b) = (next(iter(one.values())) for one in (first, second))
        pairs = [(f"{a['id']} -> {b['id']}", a, b)]
    if not pairs:
        raise DataError(
            f"{names[0]} and {names[1]}: no case in common ({', '.join(first) or 'none'}; "
            f"{', '.join(second) or 'none'}); measure the same models on the same back ends"
        )
    changes = [one for pair in pairs if (one := _change(*pair)) is not None]
    if not changes:
        raise DataError(f"{names[0]} and {names[1]}: no case was measured in both; see their logs")
    paired = {case["id"] for _, a, b in pairs for case in (a, b)}
    only = [name for name in (*first, *second) if name not in paired]
    return Comparison(changes=tuple(changes), only=tuple(only), notes=tuple(notes))


def ratio_span(after: Sequence[float], before: Sequence[float]) -> Span:
    """Return the ratio of two sets of independent launches with its interval.

    Source: Hodges and Lehmann 1963, doi:10.1214/aoms/1177704172, on logarithms; interval of
    Mann and Whitney's test, exact.
    """
    logs = sorted(math.log(a / b) for a in after for b in before)
    cut, confidence = _cut(len(after), len(before))
    return Span(
        ratio=math.exp(statistics.median(logs)),
        low=math.exp(logs[cut]),
        high=math.exp(logs[-1 - cut]),
        confidence=confidence,
    )


def _change(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change | None:
    statistic = next(
        (key for key in ("p50", "avg") if all(_values(case, key) for case in (before, after))), None
    )
    if statistic is None:
        return None
    ours, theirs = _values(after, statistic), _values(before, statistic)
    span = ratio_span(ours, theirs)
    notes = []
    for label, case in (("before", before), ("after", after)):
        if not case["summary"]["valid"]:
            notes.append(f"{label}: {case['summary']['verdict']}")
    if before["model"]["sha256"] != after["model"]["sha256"]:
        notes.append("other model file")
    return Change(
        case=name,
        statistic=statistic,
        before_us=statistics.median(theirs),
        after_us=statistics.median(ours),
        span=span,
        verdict=_judge(span, before, after),
        notes=tuple(notes),
    )


def _judge(span: Span, before: Mapping[str, Any], after: Mapping[str, Any]) -> Verdict:
    if not (before["summary"]["valid"] and after["summary"]["valid"]):
        return "not valid"
    if span.confidence < LEAST_CONFIDENCE - _ROUNDING:
        return "too few launches"
    small = abs(math.log(span.ratio)) < math.log1p(MIN_EFFECT)
    if small or span.low <= 1 <= span.high:
        return "no difference"
    return "slower" if span.low > 1 else "faster"


def _values(case: Mapping[str, Any], key: str) -> list[float]:
    timed = [one for one in case["launches"] if one["purpose"] == "time" and one["latency"]]
    used = [one for one in timed if one["valid"]] or timed
    return [one["latency"][key] for one in used if one["latency"][key]]


def _check(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    names: tuple[str, str],
    allow: frozenset[Allowance],
) -> list[str]:
    both = " and ".join(names)
    if before["emulated"] != after["emulated"]:
        which = names[0] if before["emulated"] else names[1]
        raise DataError(f"{both}: {which} is emulated, want both from real phones; measure again")
    notes = ["both are emulated: the times mean nothing"] if before["emulated"] else []
    first, second = (one["device"] for one in (before, after))
    different = [key for key in ("fingerprint", "soc", "model") if first[key] != second[key]]
    if different:
        told = ", ".join(f"{key} {first[key]} and {second[key]}" for key in different)
        if "device" not in allow:
            raise DataError(f"{both}: different devices ({told}); add --allow device")
        notes.append(f"different devices: {told}")
    heat = _heat(before, after)
    if heat:
        if "thermal" not in allow:
            raise DataError(f"{both}: {heat}; let the phone cool, or add --allow thermal")
        notes.append(heat)
    for part, key in (("runner", "sha256"), ("runner", "flavour"), ("settings", "cpus")):
        if before[part][key] != after[part][key]:
            notes.append(f"{part}: another {key}")
    return notes


def _heat(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    """Say how the heat of two results differs; None where it does not."""
    states = [
        [launch["before"] for case in one["cases"] for launch in case["launches"]]
        for one in (before, after)
    ]
    status = [max((s["thermal_status"] or 0 for s in found), default=0) for found in states]
    if status[0] != status[1]:
        return f"thermal status {status[0]} and {status[1]}"
    celsius = [
        [s["reference_celsius"] for s in found if s["reference_celsius"] is not None]
        for found in states
    ]
    if not all(celsius):
        return None
    a, b = (statistics.median(found) for found in celsius)
    return f"{a:.1f} and {b:.1f} °C at the start" if abs(a - b) > MAX_WARMER else None


def _cut(count: int, other: int) -> tuple[int, float]:
    """Return how many pairwise ratios may be cut off at each end, and the confidence then."""
    ways = _rank_sums(count, other)
    total = math.comb(count + other, count)
    below, cut = ways[0], 0
    if 2 * below > total * (1 - CONFIDENCE):
        return 0, max(1 - 2 * below / total, 0.0)
    while 2 * (below + ways[cut + 1]) <= total * (1 - CONFIDENCE):
        cut += 1
        below += ways[cut]
    return cut, 1 - 2 * below / total


def _rank_sums(count: int, other: int) -> list[int]:
    """Return in how many orders u pairs are reversed, for every u: Mann and Whitney's numbers."""
    ways = [1] + [0] * (count * other)
    for rank in range(1, count + 1):  # the Gaussian binomial coefficient, factor by factor
        for total in range(count * other, other + rank - 1, -1):
            ways[total] -= ways[total - other - rank]
        for total in range(rank, count * other + 1):
            ways[total] += ways[total - rank]
    return ways
