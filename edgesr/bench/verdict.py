"""When two series of times differ: paired within one run, apart between two runs.

Within a run the repetitions are pairs that met the same moments of the machine, so their ratios are
judged: by the median of their pairwise geometric means with the 99 % confidence interval of
Wilcoxon's signed-rank test. It shrugs off spikes, and needs only that noise may swap places within
a pair, which taking turns sees to. Between runs the machine itself may be another: there the
quartile boxes have to be apart as well.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

CONFIDENCE = 0.99
MIN_REPEATS = 8
"""With fewer repetitions no interval of that confidence exists, so no verdict does."""

MIN_EFFECT = 0.02
"""Smaller differences are none: two copies of one file differ by that from memory placement."""

MIN_EFFECT_BETWEEN_RUNS = 0.05
"""Between runs the clock rate, the heat and the load differ too."""

DRIFT_LIMIT = 0.05
_TINY = 1e-9
_EXACT = 40
"""Up to so many pairs the distribution of the signed-rank sum is counted, then it is normal."""

Kind = Literal["faster", "slower", "no difference", "too few repetitions"]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times longer one contender takes than another: centre and its interval.

    Attributes:
        median: centre of the ratios.
        low: lower end of the confidence interval; the smallest ratio where there are too few.
        high: upper end.
        count: pairs.
        quartiles: that the middle half of the ratios lies between; None where not known.
    """

    median: float
    low: float
    high: float
    count: int = 0
    quartiles: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Trend of a series over the run.

    Attributes:
        relative: change from the first to the last repetition, as part of the median.
        significant: the trend is neither chance (p < 0.01) nor below 5 %.
    """

    relative: float
    significant: bool


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """Return the median of ``values`` and a confidence interval for it from order statistics."""
    ordered = sorted(values)
    rank = _rank(len(ordered), confidence)
    return Ratio(
        median=statistics.median(ordered),
        low=ordered[max(rank, 0)],
        high=ordered[len(ordered) - 1 - max(rank, 0)],
        count=len(ordered),
    )


def paired_ratio(slower: Sequence[float], faster: Sequence[float]) -> Ratio:
    """Return the centre of the ratios of pairs, and its confidence interval.

    The interval is widened where neighbouring pairs are alike, as they then tell less.

    Source: Hodges and Lehmann 1963, doi:10.1214/aoms/1177704172; interval of Tukey's from
    Wilcoxon's signed-rank test, on logarithms.
    """
    logs = [math.log(max(a, _TINY) / max(b, _TINY)) for a, b in zip(slower, faster, strict=True)]
    means = sorted((a + b) / 2 for i, a in enumerate(logs) for b in logs[i:])
    cut = _signed_rank_cut(len(logs), CONFIDENCE)
    centre, wider = statistics.median(means), _memory(logs)
    return Ratio(
        median=math.exp(centre),
        low=math.exp(centre - wider * (centre - means[cut])),
        high=math.exp(centre + wider * (means[-1 - cut] - centre)),
        count=len(logs),
        quartiles=_quartiles([math.exp(value) for value in logs]) if len(logs) > 1 else None,
    )


def judge(ratio: Ratio, *, min_effect: float = MIN_EFFECT) -> Kind:
    """Say whether the contender above the fraction bar is faster or slower than the one below.

    It is neither when the difference is below ``min_effect``, or the interval holds 1, or the
    spread is wider than the difference: the middle half of the ratios holds 1.
    """
    lower, upper = ratio.quartiles or (ratio.low, ratio.high)
    if ratio.count < MIN_REPEATS:
        return "too few repetitions"
    if abs(math.log(max(ratio.median, 1e-9))) < math.log1p(min_effect):
        return "no difference"
    if max(ratio.high, upper) < 1:
        return "faster"
    return "slower" if min(ratio.low, lower) > 1 else "no difference"


def judge_apart(
    ours: Sequence[float], theirs: Sequence[float], *, drifted: bool = False
) -> tuple[Ratio, Kind]:
    """Compare two series that were measured in different runs.

    The interval joins those of both medians. A difference needs medians 5 % apart, intervals that
    do not meet, and quartile boxes that do not meet; a series with a drift shows none.

    Args:
        ours: times of the contender above the fraction bar.
        theirs: times of the one below.
        drifted: one of the series has a significant trend.
    """
    a, b = _settled_median(ours), _settled_median(theirs)
    joined = Ratio(
        median=a.median / b.median,
        low=a.low / b.high,
        high=a.high / b.low,
        count=min(a.count, b.count),
    )
    kind = judge(joined, min_effect=MIN_EFFECT_BETWEEN_RUNS)
    if kind not in {"faster", "slower"}:
        return joined, kind
    low, high = (ours, theirs) if kind == "faster" else (theirs, ours)
    apart = _quartiles(low)[1] < _quartiles(high)[0]
    return joined, kind if apart and not drifted else "no difference"


def drift(values: Sequence[float]) -> Drift:
    """Find a trend with Theil and Sen's slope, and Kendall's test of its significance."""
    count = len(values)
    if count < MIN_REPEATS:
        return Drift(relative=0.0, significant=False)
    slopes = [(values[j] - values[i]) / (j - i) for i in range(count) for j in range(i + 1, count)]
    balance = sum((slope > 0) - (slope < 0) for slope in slopes)
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    z = max(abs(balance) - 1, 0) / deviation
    chance = math.erfc(z / math.sqrt(2))
    relative = statistics.median(slopes) * (count - 1) / max(statistics.median(values), 1e-9)
    significant = chance < 1 - CONFIDENCE and abs(relative) > DRIFT_LIMIT
    return Drift(relative=relative, significant=significant)


def _settled_median(values: Sequence[float]) -> Ratio:
    """Return the median's interval, widened where neighbouring values are alike."""
    found, wider = median_interval(values), _memory(values)
    return Ratio(
        median=found.median,
        low=max(found.median - wider * (found.median - found.low), min(values)),
        high=min(found.median + wider * (found.high - found.median), max(values)),
        count=found.count,
    )


def _memory(values: Sequence[float]) -> float:
    """Return how much wider an interval is when values resemble the ones before them (AR(1)).

    A standard error is added to the estimate: a false winner costs more than a missed one.
    """
    centre = statistics.median(values)
    moves = [value - centre for value in values]
    power = math.fsum(move * move for move in moves)
    if len(values) < MIN_REPEATS or power == 0:
        return 1.0
    alike = math.fsum(a * b for a, b in pairwise(moves)) / power
    unbiased = alike + (1 + 3 * alike) / len(values)
    careful = unbiased + 1 / math.sqrt(len(values))
    bounded = min(max(careful, 0.0), 0.9)
    return math.sqrt((1 + bounded) / (1 - bounded))


def _signed_rank_cut(count: int, confidence: float) -> int:
    """Return how many pairwise means may be cut off at each end; 0 where too few for any."""
    tail = (1 - confidence) / 2
    if count > _EXACT:
        mean = count * (count + 1) / 4
        deviation = math.sqrt(mean * (2 * count + 1) / 6)
        return max(math.floor(mean + statistics.NormalDist().inv_cdf(tail) * deviation), 0)
    ways = [1, *[0] * (count * (count + 1) // 2)]
    for rank in range(1, count + 1):
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    below, cut = 0, 0
    for number in ways:
        below += number
        if below > tail * 2**count:
            break
        cut += 1
    return cut


def _rank(count: int, confidence: float) -> int:
    """Return how many values may be cut off at each end; -1 where not even none suffices."""
    tail, rank = 0.0, -1
    for cut in range((count + 1) // 2):
        tail += math.comb(count, cut) / 2**count
        if 2 * tail > 1 - confidence:
            break
        rank = cut
    return rank


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
