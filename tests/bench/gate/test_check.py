"""``edgesr check``: limits that are kept, broken, or cannot be checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgesr.bench.budgets import Budgets, default_budgets_file, load_budgets
from edgesr.cli import run
from edgesr.errors import ConfigError
from edgesr.files import sha256_file

CHECK = ["check", "model.tflite", "--data", "images", "--threads", "1"]


def checked(
    capsys: pytest.CaptureFixture[str], *flags: str, code: int = 0
) -> dict[str, dict[str, Any]]:
    assert run([*CHECK, *flags, "--json"]) == code
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "edgesr/check/1"
    assert document["passed"] is (code == 0)
    return {check["name"]: check for check in document["checks"]}


@pytest.mark.usefixtures("workplace")
def test_a_good_file_passes_the_budgets_that_ship(capsys: pytest.CaptureFixture[str]) -> None:
    checks = checked(capsys, "--reference", "best.safetensors")
    assert list(checks) == ["max_drop_db", "max_colour_bias", "forbidden_ops", "exact"]
    assert {check["status"] for check in checks.values()} <= {"passed", "uncertain"}
    assert checks["max_drop_db"]["limit"] == 0.1
    assert "0 of 1,000 values differ" in checks["exact"]["message"]


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("flags", "name", "message"),
    [
        (["--min-psnr", "90"], "min_psnr_db", "want 90 or more"),
        (["--reference", "float.tflite", "--max-drop", "-5"], "max_drop_db", "want -5 at most"),
        (["--max-colour-bias", "0"], "max_colour_bias", "grey levels, want 0 at most"),
        (["--max-bytes", "1000"], "max_bytes", "bytes, want 1,000 at most"),
        (["--forbid", "DEPTH_*", "--forbid", "CUSTOM"], "forbidden_ops", "DEPTH_TO_SPACE x1"),
        (
            ["--latency-reference", "model.tflite", "--max-latency-ratio", "0.01"],
            "max_latency_ratio",
            "want 0.01 at most",
        ),
    ],
)
def test_a_broken_limit_fails(
    capsys: pytest.CaptureFixture[str], flags: list[str], name: str, message: str
) -> None:
    check = checked(capsys, *flags, code=1)[name]
    assert check["status"] == "failed"
    assert message in check["message"]


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("flags", "name"),
    [
        (["--max-drop", "0.1"], "max_drop_db"),
        (["--max-regression", "0.1"], "max_regression_db"),
        (["--max-latency-ratio", "2"], "max_latency_ratio"),
    ],
)
def test_a_limit_that_cannot_be_checked_fails(
    capsys: pytest.CaptureFixture[str], flags: list[str], name: str
) -> None:
    assert checked(capsys, *flags, code=1)[name]["status"] == "not checked"


def test_exactness_that_nothing_proves_fails(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = workplace / "model.json"
    good = json.loads(report.read_text())

    def fails(wanted: str, status: str = "not checked") -> None:
        check = checked(capsys, code=1)["exact"]
        assert check["status"] == status
        assert wanted in check["message"]

    report.write_text(json.dumps({**good, "sha256": "0" * 64}))
    fails("no export report of this very file")
    report.write_text(json.dumps({**good, "verification": {"mismatches": None, "values": 5}}))
    fails("compares no values")
    report.write_text(json.dumps({**good, "verification": {"mismatches": 3, "values": 5}}))
    fails("3 of 5 values differ", "failed")
    report.unlink()
    fails("no report model.json beside the file")
    assert "exact" not in checked(capsys, "--no-exact")
    (workplace / "elsewhere.json").write_text(json.dumps({"export": good}))
    assert checked(capsys, "--certificate", "elsewhere.json")["exact"]["status"] == "passed"
    card: dict[str, object] = {
        "schema": "edgesr/card/1",
        "files": {"model.tflite": {"sha256": good["sha256"]}},
        "int8": {"mismatches": 0, "values_compared": 99},
    }
    (workplace / "card.json").write_text(json.dumps(card))
    proven = checked(capsys, "--certificate", "card.json")["exact"]
    assert "0 of 99 values differ" in proven["message"]
    card["int8"] = None
    (workplace / "card.json").write_text(json.dumps(card))
    check = checked(capsys, "--certificate", "card.json", code=1)["exact"]
    assert check["status"] == "not checked"


def test_the_shipped_network_passes_its_own_gate(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage", reason="needs the demo extra")
    assert run(["check", "--data", "demo", "--limit", "2", "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {"max_drop_db", "exact"} <= {one["name"] for one in checks}


def test_an_empty_folder_named_demo_does_not_stand_in_for_the_photographs(workplace: Path) -> None:
    pytest.importorskip("skimage", reason="needs the demo extra")
    (workplace / "demo").mkdir()
    assert run(["check", "--data", "demo", "--limit", "2", "--json"]) == 0


def test_a_stored_baseline_is_written_compared_and_guarded(
    workplace: Path, capsys: pytest.CaptureFixture[str], save_photo: Callable[..., Path]
) -> None:
    store = workplace / "accepted.json"
    assert run([*CHECK, "--baseline", "accepted.json"]) == 3
    assert "write one with --update-baseline" in capsys.readouterr().err
    assert run([*CHECK, "--baseline", "accepted.json", "--update-baseline"]) == 0
    assert "review the difference" in capsys.readouterr().err
    stored = json.loads(store.read_text())
    assert stored["model_sha256"] == sha256_file(workplace / "model.tflite")
    assert list(stored["psnr"]) == [str(seed) for seed in range(6)]
    same = checked(capsys, "--baseline", "accepted.json")["max_regression_db"]
    assert same["status"] == "passed"
    assert abs(same["value"]) < 1e-4
    better = {**stored, "psnr": {name: v + 0.05 for name, v in stored["psnr"].items()}}
    store.write_text(json.dumps(better))
    worse = checked(capsys, "--baseline", "accepted.json", code=1)["max_regression_db"]
    assert worse["value"] == pytest.approx(0.05, abs=1e-3)
    assert run([*CHECK, "--baseline", "accepted.json", "--protocol", "classic-y"]) == 3
    assert "another protocol (mai, here classic-y)" in capsys.readouterr().err
    assert run([*CHECK, "--baseline", "accepted.json", "--limit", "5"]) == 3
    assert "another number of images (6, here 5)" in capsys.readouterr().err
    save_photo(workplace / "images" / "0.png", 60, 72, 99)
    assert run([*CHECK, "--baseline", "accepted.json"]) == 3
    assert "another data set" in capsys.readouterr().err


def test_a_loss_in_doubt_passes_unless_strict(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = workplace / "accepted.json"
    assert run([*CHECK, "--baseline", "accepted.json", "--update-baseline"]) == 0
    capsys.readouterr()
    stored = json.loads(store.read_text())
    # Mean 0.02 dB, above the limit of 0.01, but the images do not agree.
    moved = {name: v + 0.02 + 0.1 * (-1) ** int(name) for name, v in stored["psnr"].items()}
    store.write_text(json.dumps({**stored, "psnr": moved}))
    doubtful = checked(capsys, "--baseline", "accepted.json")["max_regression_db"]
    assert doubtful["status"] == "uncertain"
    assert doubtful["value"] == pytest.approx(0.02, abs=1e-3)
    strict = checked(capsys, "--baseline", "accepted.json", "--strict", code=1)
    assert strict["max_regression_db"]["status"] == "failed"


def test_a_failing_model_does_not_become_the_baseline(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--baseline", "accepted.json", "--update-baseline", "--min-psnr", "90"]
    assert run([*CHECK, *flags]) == 1
    assert "the baseline stays as it was" in capsys.readouterr().err
    assert not (workplace / "accepted.json").exists()
    assert run([*CHECK, "--update-baseline"]) == 2


@pytest.mark.usefixtures("workplace")
def test_a_model_timed_against_itself_is_no_slower(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--latency-reference", "model.tflite", "--max-latency-ratio", "1.5"]
    check = checked(capsys, *flags)["max_latency_ratio"]
    assert 0.5 < check["value"] < 2.0  # a loaded machine is noisy


def test_a_file_of_one_size_is_checked_by_windows(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (workplace / "fixed.tflite").is_file()
    command = ["check", "fixed.tflite", "--data", "images", "--no-exact", "--reference"]
    assert run([*command, "model.tflite", "--latency-reference", "fixed.tflite", "--json"]) in {
        0,
        1,  # a loaded machine may find the file slower than itself
    }
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["max_drop_db"]["value"] == 0.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("max_dorp_db = 0.1", "unknown key max_dorp_db; did you mean max_drop_db"),
        ('max_drop_db = "0.1"', "want a finite number"),
        ("max_drop_db = nan", "want a finite number"),
        ("confidence = 1.5", "confidence = 1.5 is out of range"),
        ('protocol = "psnr"', "want one of mai, ntire-esr, classic-y"),
        ("max_bytes = 0", "out of range"),
        ("max_drop_db =", "is no TOML"),
    ],
)
def test_wrong_budgets_name_file_and_key(
    workplace: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    (workplace / "budgets.toml").write_text(content)
    assert run([*CHECK, "--config", "budgets.toml"]) == 3
    error = capsys.readouterr().err
    assert "budgets.toml" in error
    assert message in error


def test_flags_win_over_the_file_and_the_file_over_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("max_bytes = 5\nmin_psnr_db = 20\nlatency_shape = [8, 9]")
    budgets = load_budgets(path, {"max_bytes": 7, "min_psnr_db": None})
    wanted = Budgets(max_bytes=7, min_psnr_db=20.0, latency_shape=(8, 9))
    assert budgets == wanted
    shipped = load_budgets(None, {})
    assert shipped.exact
    assert default_budgets_file().is_file()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_budgets(tmp_path / "missing.toml", {})


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nan.tflite", "--data", "images"], 3, "its output holds NaN or infinity"),
        (["model.tflite", "--data", "missing"], 3, "edgesr data download div2k_valid_hr"),
        (["model.tflite", "--data", "empty"], 3, "no images in it"),
        (["missing.tflite", "--data", "images"], 3, "no such model or file"),
        (["broken.tflite", "--data", "images"], 3, "without the TFL3 mark"),
        (["best.safetensors", "--data", "images"], 2, "want a .tflite file"),
        (["model.tflite", "--data", "images", "--baseline", "broken.json"], 3, "is no JSON"),
        (["model.tflite", "--data", "images", "--baseline", "model.json"], 3, "is no baseline"),
        (["model.tflite", "--data", "images", "--certificate", "broken.json"], 3, "is no JSON"),
        (["model.tflite", "--data", "images", "--certificate", "no.json"], 3, "no such certif"),
        (["model.tflite", "--data", "images", "--reference", "no.pth"], 3, "no such model"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (workplace / "empty").mkdir()
    (workplace / "broken.tflite").write_bytes(b"nothing of the kind")
    (workplace / "broken.json").write_text("{")
    assert run(["check", *arguments, "--json"]) == code
    error = capsys.readouterr().err.splitlines()
    assert message in error[-1]
    assert error[-1].startswith("error: ")


def test_nan_in_float_weights_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from edgesr.models import build_model
    from edgesr.models.checkpoint import save_weights

    module = build_model("ncnet", 3)
    with torch.no_grad():
        module.get_parameter("body.0.weight").fill_(float("nan"))
    save_weights(workplace / "bad.safetensors", module.state_dict(), model="ncnet", scale=3)
    assert run([*CHECK, "--reference", "bad.safetensors"]) == 3
    assert "bad.safetensors: " in capsys.readouterr().err


def test_a_damaged_baseline_is_refused(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = workplace / "accepted.json"
    assert run([*CHECK, "--baseline", "accepted.json", "--update-baseline"]) == 0
    good = json.loads(store.read_text())
    damages: list[dict[str, object]] = [
        {"psnr": {}},
        {"psnr": {"0": float("nan")}},
        {"scale": "x"},
        {"psnr": [1]},
    ]
    for damage in damages:
        store.write_text(json.dumps({**good, **damage}))
        assert run([*CHECK, "--baseline", "accepted.json"]) == 3
        assert "damaged baseline" in capsys.readouterr().err
