import copy
import itertools
import math
from typing import Any

import pytest

from edgesr.android.comparison import _rank_sums, compare_results, ratio_span
from edgesr.errors import DataError


@pytest.mark.parametrize(("count", "other"), [(1, 1), (2, 3), (3, 3), (4, 2), (1, 6), (5, 4)])
def test_rank_sums_are_those_that_counting_finds(count: int, other: int) -> None:
    counted = [0] * (count * other + 1)
    for ours in itertools.combinations(range(count + other), count):
        theirs = [place for place in range(count + other) if place not in ours]
        counted[sum(a > b for a in ours for b in theirs)] += 1
    assert _rank_sums(count, other) == counted
    assert sum(counted) == math.comb(count + other, count)


def test_three_launches_allow_ninety_per_cent_and_say_so() -> None:
    span = ratio_span([2.0, 2.1, 2.2], [1.0, 1.1, 1.05])
    assert span.confidence == pytest.approx(0.9)
    assert span.low == pytest.approx(2.0 / 1.1)
    assert span.high == pytest.approx(2.2)
    assert span.low < span.ratio < span.high


def test_one_launch_allows_none() -> None:
    assert ratio_span([2.0], [1.0]).confidence == 0


def test_more_launches_narrow_the_interval() -> None:
    after = [2.0 + place / 100 for place in range(10)]
    before = [1.0 + place / 100 for place in range(10)]
    span = ratio_span(after, before)
    assert span.confidence >= 0.95
    assert span.low > min(after) / max(before)


def launch(p50: float, number: int = 1, **changed: Any) -> dict[str, Any]:
    state = {"thermal_status": 0, "reference_celsius": 30.0}
    return {
        "purpose": "time",
        "number": number,
        "latency": {"p50": p50, "avg": p50 * 1.1},
        "valid": True,
        "before": state,
        "after": state,
        **changed,
    }


def result(*medians: float, **changed: Any) -> dict[str, Any]:
    case = {
        "id": "m cpu x1",
        "model": {"sha256": "a"},
        "launches": [launch(one, place) for place, one in enumerate(medians, 1)],
        "summary": {"valid": True, "verdict": "ok"},
    }
    return {
        "emulated": False,
        "device": {"fingerprint": "f", "soc": "s", "model": "m", "hash": "h"},
        "runner": {"sha256": "r", "flavour": "classic"},
        "settings": {"cpus": []},
        "cases": [case],
        **changed,
    }


FAST, SLOW = result(100, 101, 102, 103), result(120, 121, 122, 123)
NAMES = ("a.json", "b.json")


def test_slower_is_slower_and_faster_faster() -> None:
    (there,) = compare_results(FAST, SLOW, names=NAMES).changes
    (back,) = compare_results(SLOW, FAST, names=NAMES).changes
    assert (there.verdict, back.verdict) == ("slower", "faster")
    assert there.span.ratio == pytest.approx(1.195, abs=0.01)
    assert compare_results(FAST, SLOW, names=NAMES).slower(0.05) == ["m cpu x1"]
    assert compare_results(FAST, SLOW, names=NAMES).slower(0.25) == []
    assert compare_results(SLOW, FAST, names=NAMES).slower(0.0) == []


def test_a_result_does_not_differ_from_itself() -> None:
    (change,) = compare_results(FAST, FAST, names=NAMES).changes
    assert change.verdict == "no difference"


def test_overlapping_launches_show_no_difference() -> None:
    (change,) = compare_results(result(100, 130, 101), result(110, 99, 131), names=NAMES).changes
    assert change.verdict == "no difference"


def test_emulated_and_real_are_never_mixed() -> None:
    fake = result(100, emulated=True)
    with pytest.raises(DataError, match="emulated"):
        compare_results(fake, FAST, names=NAMES, allow=frozenset({"device", "thermal"}))
    assert "mean nothing" in compare_results(fake, fake, names=NAMES).notes[0]


def test_another_device_needs_a_flag() -> None:
    other = result(100, device={"fingerprint": "g", "soc": "s", "model": "m"})
    with pytest.raises(DataError, match="--allow device"):
        compare_results(FAST, other, names=NAMES)
    found = compare_results(FAST, other, names=NAMES, allow=frozenset({"device"}))
    assert "different devices" in found.notes[0]


@pytest.mark.parametrize(
    "heat",
    [
        {"thermal_status": 2, "reference_celsius": 30.0},
        {"thermal_status": 0, "reference_celsius": 36.0},
    ],
)
def test_another_heat_needs_a_flag(heat: dict[str, Any]) -> None:
    warm = copy.deepcopy(SLOW)
    for one in warm["cases"][0]["launches"]:
        one["before"] = heat
    with pytest.raises(DataError, match="--allow thermal"):
        compare_results(FAST, warm, names=NAMES)
    assert compare_results(FAST, warm, names=NAMES, allow=frozenset({"thermal"})).notes


def test_what_is_not_valid_gets_no_verdict() -> None:
    bad = copy.deepcopy(SLOW)
    bad["cases"][0]["summary"] = {"valid": False, "verdict": "THROTTLED"}
    (change,) = compare_results(FAST, bad, names=NAMES).changes
    assert change.verdict == "not valid"
    assert "after: THROTTLED" in change.notes


def test_what_cannot_be_judged_does_not_pass_a_gate() -> None:
    few = compare_results(result(100, 101), result(150, 151), names=NAMES)
    assert few.changes[0].verdict == "too few launches"
    assert (few.slower(0.05), few.undecided(0.05)) == ([], ["m cpu x1"])
    assert few.undecided(0.6) == []
    bad = copy.deepcopy(FAST)
    bad["cases"][0]["summary"] = {"valid": False, "verdict": "THROTTLED"}
    assert compare_results(FAST, bad, names=NAMES).undecided(0.05) == ["m cpu x1"]
    three = compare_results(result(100, 101, 102), result(150, 151, 152), names=NAMES)
    assert three.changes[0].verdict == "slower"
    assert three.undecided(0.05) == []


def test_means_are_compared_where_a_runner_has_no_median() -> None:
    bare = copy.deepcopy(FAST)
    for one in bare["cases"][0]["launches"]:
        one["latency"] = {"p50": None, "avg": 100.0}
    (change,) = compare_results(bare, SLOW, names=NAMES).changes
    assert change.statistic == "avg"


def test_single_cases_are_compared_whatever_their_names() -> None:
    other = copy.deepcopy(SLOW)
    other["cases"][0]["id"] = "other cpu x1"
    other["cases"][0]["model"]["sha256"] = "b"
    (change,) = compare_results(FAST, other, names=NAMES).changes
    assert change.case == "m cpu x1 -> other cpu x1"
    assert "other model file" in change.notes


def test_nothing_in_common_is_an_error() -> None:
    other = copy.deepcopy(SLOW)
    other["cases"] = [dict(other["cases"][0], id=name) for name in ("p", "q")]
    with pytest.raises(DataError, match="no case in common"):
        compare_results(FAST, other, names=NAMES)
    failed = copy.deepcopy(SLOW)
    for one in failed["cases"][0]["launches"]:
        one["latency"] = None
    with pytest.raises(DataError, match="no case was measured"):
        compare_results(FAST, failed, names=NAMES)
