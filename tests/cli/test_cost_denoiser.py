"""``edgesr cost`` and ``edgesr models`` know diffusion denoisers."""

import json
from pathlib import Path

import pytest

from edgesr.cli import run
from edgesr.models.denoiser_files import Schedule, save_denoiser
from edgesr.models.denoisers import DENOISERS, build_denoiser
from tests.export.stepwise_case import restless_case


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "best.safetensors"
    save_denoiser(
        path,
        build_denoiser("resshift_px_s", 2).state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 6}),
        prediction="residual",
    )
    return path


def macs_of_small(height: int, width: int, scale: int) -> int:
    """The MACs of ``resshift_px_s``, layer by layer from its description."""
    full, half = height * width, height * width // 4
    stem = 9 * (6 * scale**2 + 3) * 32 * full
    blocks = 2 * (2 * 9 * 32 * 32) * full + 2 * (2 * 9 * 64 * 64) * half
    between = 9 * 32 * 64 * half + 64 * 4 * 32 * half
    return stem + blocks + between + 9 * 32 * 3 * scale**2 * full


def test_a_denoiser_is_counted_per_step_and_in_total(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--shape", "24x32", "--json"]
    assert run(["cost", "resshift_px_s", str(weights), "ncnet", *flags]) == 0
    named, filed, plain = json.loads(capsys.readouterr().out)["models"]
    for one, scale, steps in ((named, 4, 4), (filed, 2, 6)):
        centre = 25 * 3 * scale**2 * 24 * 32
        assert one["scale"] == scale
        assert one["params"] == DENOISERS["resshift_px_s"].params[scale]
        assert one["macs"] == macs_of_small(24, 32, scale)
        assert one["num_steps"] == steps
        assert one["total_macs"] == steps * one["macs"] + centre
        assert one["shape"] == [24, 32]
        assert one["receptive_field"] == 31
    assert filed["stored_bytes"] == weights.stat().st_size
    assert "num_steps" not in plain


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_a_file_of_steps_is_counted_as_its_denoiser(
    *, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = restless_case(str(tmp_path), has_centre=True)
    file = tmp_path / "steps.tflite"
    file.write_bytes(case.content if kind == "int8" else case.float_content)
    assert run(["cost", str(file), str(case.loaded.path), "--shape", "23x32", "--json"]) == 0
    found, wanted = json.loads(capsys.readouterr().out)["models"]
    for key in ("macs", "num_steps", "centre_macs", "total_macs", "centre_params"):
        assert found[key] == wanted[key]
    assert found["centre"] == "centre"
    assert found["stored_bytes"] == file.stat().st_size
    assert run(["cost", str(file), "--steps", "3"]) == 3
    assert "is of steps 2, but 3 was asked for" in capsys.readouterr().err


def test_an_odd_size_costs_what_its_padding_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "resshift_px_s", "--shape", "23x31", "--json"]) == 0
    (odd,) = json.loads(capsys.readouterr().out)["models"]
    assert odd["macs"] == macs_of_small(24, 32, 4)


def test_the_table_has_both(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--shape", "16x16", "--steps", "3"]
    assert run(["cost", str(weights), "abpn", *flags]) == 0
    printed = capsys.readouterr().out
    cells = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    rows = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}
    assert rows["steps"] == ["3", "1"]
    total = 3 * macs_of_small(16, 16, 2) + 25 * 3 * 4 * 16 * 16
    assert rows["macs of all steps"] == [f"{total / 1e9:.4f} G", rows["macs"][1]]
    assert "its timestep folded in" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ncnet", "--steps", "3"], 2, "no diffusion denoiser among them"),
        (["resshift_px_s", "--steps", "0"], 2, "steps"),
        (["resshift_px_s", "--scale", "7"], 3, "has no scale 7"),
        (["WEIGHTS", "--steps", "7"], 3, "7 steps, want 1 to 6"),
        (["WEIGHTS", "--scale", "3"], 3, "scale"),
    ],
)
def test_bad_arguments_give_one_line_and_the_right_code(
    weights: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    given = [str(weights) if word == "WEIGHTS" else word for word in arguments]
    assert run(["cost", *given]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_models_lists_the_denoisers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)["denoisers"]}
    assert listed.keys() == DENOISERS.keys()
    assert listed["resshift_px_m"]["params"]["4"] == 1_775_920
    assert listed["resshift_px_m"]["int8"] is True
    assert listed["sr3"]["int8"] is False
    assert listed["sr3"]["receptive_field"] is None
    assert run(["models"]) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("denoisers", "resshift_px_naf", "INT8"))
