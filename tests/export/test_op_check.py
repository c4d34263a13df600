"""Every operation that is simulated against LiteRT's interpreter, on every kernel family."""

from pathlib import Path

import pytest

from edgesr.errors import DataError, MissingDependencyError
from edgesr.export.exactness_page import exactness_page, read_results
from edgesr.export.op_cases_more import CASES
from edgesr.export.op_check import FAMILIES, FULL_VALUES, NOT_EXACT, check_op, to_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "exactness.json"


@pytest.mark.parametrize("op", CASES)
def test_the_simulation_of_an_operation_equals_litert(op: str) -> None:
    for result in check_op(op, values=40_000, seed=7):
        assert result.values >= 40_000
        if (op, result.kernels) in NOT_EXACT:
            assert result.max_error <= NOT_EXACT[op, result.kernels].lsb
        else:
            assert result.mismatches == 0, result


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(DataError, match="operation 'MEAN' is not simulated; choose one of CONV_2D"):
        check_op("MEAN")


def test_a_missing_resolver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesr.litert.RESOLVERS", dict.fromkeys(FAMILIES, "NONE"))
    with pytest.raises(MissingDependencyError, match="has no xnnpack kernels"):
        check_op("ADD", values=1)


def test_a_wrong_simulation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgesr.quant.simulate import KERNELS

    swapped = {**KERNELS, "reference": KERNELS["builtin"]}
    monkeypatch.setattr("edgesr.quant.simulate.KERNELS", swapped)
    found = {one.kernels: one for one in check_op("CONV_2D", values=80_000)}
    assert found["builtin"].mismatches == 0
    assert found["reference"].mismatches > 0
    assert not found["reference"].passed
    document = to_json(list(found.values()), seed=0, environment={}, speed=None)
    assert [one["status"] for one in document["operations"]] == ["exact", "exact", "differs"]


def test_the_stored_results_are_complete_and_exact() -> None:
    results = read_results(RESULTS)
    seen = {(one["op"], one["kernels"]) for one in results["operations"]}
    assert seen == {(op, kernels) for op in CASES for kernels in FAMILIES}
    for one in results["operations"]:
        assert one["values"] >= FULL_VALUES
        assert one["mismatches"] == 0 or (one["op"], one["kernels"]) in NOT_EXACT
    assert set(results["speed"]["simulation"]) == set(FAMILIES)


def test_the_page_is_what_the_results_say() -> None:
    page = exactness_page(read_results(RESULTS))
    assert (ROOT / "docs" / "exactness.md").read_text() == page
    for op in CASES:
        assert f"| {op} |" in page


def test_results_of_another_kind_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"schema": "edgesr/bench/1"}')
    with pytest.raises(DataError, match="no edgesr/exactness/1"):
        read_results(other)
    with pytest.raises(DataError, match="cannot be read"):
        read_results(tmp_path / "none.json")
