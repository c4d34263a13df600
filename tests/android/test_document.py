import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from edgesr.android.backends import parse_backends
from edgesr.android.delegation import Delegation
from edgesr.android.document import (
    launch_document,
    new_case,
    new_document,
    read_result,
    schema_text,
    summarize,
    validate,
    without_serials,
)
from edgesr.android.errors import CrashError
from edgesr.android.facts import Facts
from edgesr.android.launch import Outcome, raw_latency
from edgesr.android.report import comma_separated, html_page, markdown
from edgesr.android.request import Settings, make_cases
from edgesr.android.state import State
from edgesr.errors import DataError
from tests.android.test_commands import model

pytest.importorskip("fastjsonschema", reason="needs edgesr[device]")


def outcome(centre: float = 100.0, **changed: Any) -> Outcome:
    told: dict[str, Any] = {
        "exit_code": 0,
        "elapsed_s": 1.0,
        "latency": raw_latency([centre - 1, centre, centre + 1]),
        "delegation": Delegation(status="full", delegate="XNNPACK", nodes=5, of=5, partitions=1),
    }
    return Outcome(**(told | changed))


def launch(number: int = 1, *, purpose: str = "time", **changed: Any) -> dict[str, Any]:
    reasons = changed.pop("reasons", ())
    throttled = changed.pop("throttled", ())
    refused = changed.pop("refused", ())
    return launch_document(
        outcome(**changed),
        purpose=purpose,
        number=number,
        start="2026-11-21T13:00:00Z",
        argv=("/d/runner", "--graph=/d/m"),
        before=State(),
        reasons=reasons,
        throttled=throttled,
        waited_s=0.0,
        host_s=1.25,
        log="out.logs/x.txt",
        refused=refused,
    )


def result(*launches: dict[str, Any], backend: str = "cpu") -> dict[str, Any]:
    (case,) = make_cases([model("m" * 8)], parse_backends(backend), [1])
    entry = new_case(case, Settings())
    entry["launches"] = list(launches)
    entry["summary"] = summarize(entry["launches"], kind=case.backend.kind)
    found = new_document(
        command=["edgesr"],
        request={},
        host={"os": "Linux"},
        device={"hash": "h", **Facts(model="<Pixel>", emulated=True).document()},
        runner={
            "kind": "benchmark_model",
            "flavour": "classic",
            "experimental": False,
            "version": None,
            "sha256": "0" * 64,
            "files": [],
        },
        settings=Settings(),
    )
    found["cases"] = [entry]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def test_a_result_fits_its_own_schema(tmp_path: Path) -> None:
    document = result(launch(1), launch(2, centre=110.0))
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    assert read_result(path) == document
    failed = launch(1, latency=None, exit_code=139, error=CrashError("m: SIGSEGV"))
    validate(result(failed), "b.json")
    validate(result(), "c.json")


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: d.pop("device"),
        lambda d: d.update(schema="edgesr.bench/2"),
        lambda d: d.update(cases={}),
        lambda d: d["cases"][0]["launches"][0].update(valid="yes"),
        lambda d: d["cases"][0]["launches"][0]["latency"].update(p50=-1),
        lambda d: d["cases"][0]["launches"][0]["delegation"].update(status="maybe"),
        lambda d: d["cases"][0]["launches"][0]["before"].pop("battery"),
        lambda d: d["cases"][0]["model"].update(sha256="short"),
        lambda d: d["cases"][0]["summary"].update(p50_range=[1]),
    ],
)
def test_a_damaged_result_is_refused_with_its_place(harm: Any) -> None:
    document = result(launch())
    harm(document)
    with pytest.raises(DataError, match=r"x\.json: "):
        validate(document, "x.json")


@pytest.mark.parametrize("content", ["", "[]", "null", "{", '{"schema": 3}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"a\.json"):
        read_result(path)


def test_a_missing_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "missing.json")


def test_the_summary_is_the_median_of_medians_and_their_range() -> None:
    launches = [launch(n, centre=c) for n, c in enumerate((100.0, 130.0, 105.0), 1)]
    found = summarize(launches, kind="cpu")
    assert (found["p50_us"], found["p50_range"]) == (105, [100, 130])
    assert (found["launches"], found["valid"], found["verdict"]) == (3, True, "ok")


def test_a_throttled_launch_does_not_count_and_makes_the_case_invalid() -> None:
    hot = launch(2, centre=200.0, reasons=["throttled: thermal status 1"], throttled=["x"])
    found = summarize([launch(1), hot], kind="cpu")
    assert (found["p50_us"], found["launches"], found["valid"]) == (100, 1, False)
    assert "THROTTLED" in found["verdict"]
    assert summarize([hot], kind="cpu")["p50_us"] == 200


def test_a_sustained_case_tells_how_much_it_slowed() -> None:
    launches = [launch(n, centre=100.0 + 3 * n) for n in range(1, 13)]
    found = summarize(launches, kind="cpu")
    assert found["slowdown"] == pytest.approx(131.5 / 107.5)
    assert found["verdict"] == "SLOWED BY 22% OVER TIME"


def test_memory_launches_give_memory_and_no_time() -> None:
    memory = launch(1, purpose="memory", centre=999.0, memory_mb={"peak": 24.5})
    found = summarize([launch(1), memory], kind="cpu")
    assert (found["p50_us"], found["peak_mb"], found["launches"]) == (100, 24.5, 1)


def test_a_partial_delegate_is_shouted_with_its_operators() -> None:
    partial = Delegation(status="partial", delegate="NNAPI", nodes=38, of=41, partitions=4)
    one = launch(1, delegation=partial, reasons=["only partly"], refused=("TILE", "CAST"))
    found = summarize([one], kind="nnapi")
    assert found["verdict"] == "PARTIAL: TILE, CAST"
    assert found["ran_on"] == "NNAPI 38/41, 4 parts"
    assert not found["valid"]


def test_a_run_on_the_cpu_instead_is_none_not_ok() -> None:
    one = launch(1, delegation=Delegation(status="none"), reasons=["ran on the CPU"])
    assert summarize([one], kind="gpu")["verdict"] == "NONE"


def test_a_case_without_a_number_has_null_never_zero() -> None:
    failed = launch(1, latency=None, exit_code=139, error=CrashError("m: SIGSEGV"))
    found = summarize([failed], kind="cpu")
    assert (found["p50_us"], found["min_us"], found["p50_range"]) == (None, None, None)
    assert found["verdict"] == "FAILED: CrashError"
    assert (failed["signal"], failed["error"]["code"]) == (11, 18)


def test_overhead_is_the_hosts_time_less_the_phones() -> None:
    assert launch()["overhead_s"] == pytest.approx(0.25)
    assert launch(elapsed_s=None)["overhead_s"] is None


def test_csv_has_one_line_a_launch_and_empty_cells_for_unknown() -> None:
    text = comma_separated([result(launch(1), launch(2))])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["launch"] for row in rows] == ["1", "2"]
    assert float(rows[0]["p50_us"]) == 100
    assert (rows[0]["soc"], rows[0]["emulated"], rows[0]["of"]) == ("", "True", "5")


def test_serial_numbers_leave_the_command_line() -> None:
    command = ["edgesr", "device", "bench", "-s", "8A1X0", "--serial=8A1X0"]
    assert without_serials(command, ["8A1X0", ""])[-2:] == ["SERIAL", "--serial=SERIAL"]
    assert without_serials(command, []) == command


def test_pages_say_emulated_and_escape_names() -> None:
    document = result(*(launch(n, centre=100.0 + n) for n in range(1, 7)))
    text = markdown([document], title="T | <t>")
    assert "EMULATED" in text
    assert "<Pixel>" not in text
    page = html_page([document], title="<t>")
    assert "&lt;Pixel&gt;" in page
    assert "<script" not in page
    assert "<polyline" in page


def test_the_schema_is_json_and_names_itself() -> None:
    assert json.loads(schema_text())["properties"]["schema"] == {"const": "edgesr.bench/1"}
