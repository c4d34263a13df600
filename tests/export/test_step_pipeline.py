"""A denoiser becomes a verified file of steps, and what cannot become one is said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from edgesr.cli import run
from edgesr.errors import GateError, GraphError
from edgesr.export import step_networks
from edgesr.export.step_certificate import replay_steps
from edgesr.export.step_pipeline import StepRequest, export_steps
from edgesr.export.stepwise import write_steps_float32
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from tests.export.stepwise_case import save_restless

SavePhoto = Callable[..., Path]


@pytest.fixture
def images(tmp_path: Path, save_photo: SavePhoto) -> Path:
    for seed in range(2):
        save_photo(tmp_path / "images" / f"{seed}.png", 48, 56, seed=seed)
    return tmp_path / "images"


def command(checkpoint: Path, images: Path, *more: str) -> list[str]:
    output = str(checkpoint.parent / "out.tflite")
    return ["export", output, "--checkpoint", str(checkpoint), "--calibration", str(images), *more]


def test_export_writes_file_schedule_report_and_certificate(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_restless(tmp_path / "px.safetensors")
    assert run(command(checkpoint, images, "--int8", "--json", "--max-drop", "9")) == 0
    report = json.loads(capsys.readouterr().out)
    assert report == json.loads((tmp_path / "out.json").read_text())
    assert report["accepted"]
    assert [one["name"] for one in report["signatures"]] == ["step_00", "step_01"]
    assert [one["timestep"] for one in report["signatures"]] == [2, 1]
    assert report["same_operators"]
    assert set(report["operators"]) == {
        *("SPACE_TO_DEPTH", "CONCATENATION", "CONV_2D", "ADD", "PAD", "DEPTH_TO_SPACE"),
    }
    verification = report["verification"]
    assert verification["mismatches"] == 0
    assert verification["values"] > 0
    assert all(one["mismatches"] == 0 for one in verification["signatures"])
    assert report["cost"]["file_ms"] > 0
    assert len(report["cost"]["signature_mib"]) == 2
    schedule = json.loads((tmp_path / "out.schedule.json").read_text())
    assert schedule["schema"] == "edgesr/step_schedule/1"
    assert schedule["path"]["timesteps"] == [0, 1, 2]

    certificate = tmp_path / "out.certificate.json"
    replayed = replay_steps(certificate)
    assert replayed.kernels == ("xnnpack", "builtin", "reference")
    assert run(["verify", "--replay", str(certificate), "--kernels", "xnnpack"]) == 0
    facts = json.loads(certificate.read_text())
    facts["replay"]["signatures"][0][2] = "0" * 64
    certificate.write_text(json.dumps(facts))
    with pytest.raises(GateError, match="signature step_00: other outputs"):
        replay_steps(certificate)
    assert run(["verify", str(tmp_path / "out.tflite"), "--kernels", "xnnpack"]) == 0
    assert "xnnpack, step_01: 0 of" in capsys.readouterr().out


def test_a_file_that_differs_is_kept_as_rejected(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_denoiser(save_restless(tmp_path / "px.safetensors"))
    write = write_steps_float32

    def wrong(graphs, **options):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN003, ANN202
        last = graphs[0].ops[-2]
        ops = (*graphs[0].ops[:-2], replace(last, bias=last.bias + 0.5), graphs[0].ops[-1])
        return write([replace(graphs[0], ops=ops), *graphs[1:]], **options)

    monkeypatch.setattr(step_networks, "write_steps_float32", wrong)
    request = StepRequest(
        output=tmp_path / "out.tflite", precision="float32", calibration=images, max_drop=0.01
    )
    with pytest.raises(GateError, match="PSNR drops by"):
        export_steps(loaded, request)
    assert not (tmp_path / "out.tflite").exists()
    report = json.loads((tmp_path / "out.tflite.rejected.json").read_text())
    assert not report["accepted"]


def test_one_step_in_float32_is_a_plain_file(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_restless(tmp_path / "px.safetensors")
    assert run(command(checkpoint, images, "--float32", "--steps", "1", "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in report["signatures"]] == ["serving_default"]
    assert report["verification"]["psnr_to_float"] > 55
    assert not (tmp_path / "out.certificate.json").exists()


def test_too_many_steps_are_refused_with_the_size(tmp_path: Path) -> None:
    loaded = load_denoiser(save_restless(tmp_path / "px.safetensors", num_steps=15))
    with pytest.raises(GraphError, match=r"15 signatures and \d{3},\d{3} bytes .* --steps 4"):
        export_steps(loaded, StepRequest(output=tmp_path / "x.tflite"))


def test_a_network_without_integer_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "naf.safetensors"
    save_denoiser(
        path,
        build_denoiser("resshift_px_naf", 2).state_dict(),
        model="resshift_px_naf",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 2}),
        prediction="residual",
    )
    with pytest.raises(GraphError, match="resshift_px_naf has layers without an INT8 form"):
        export_steps(load_denoiser(path), StepRequest(output=tmp_path / "x.tflite"))


def test_a_checkpoint_without_its_schedule_is_refused(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_restless(tmp_path / "px.safetensors")
    with safe_open(checkpoint, "np") as stored:
        facts = json.loads(stored.metadata()["edgesr"])
    kept = {key: value for key, value in facts.items() if not key.startswith("schedule")}
    save_file(load_file(checkpoint), checkpoint, {"edgesr": json.dumps(kept)})
    assert run(command(checkpoint, images)) == 3
    assert "does not say the schedule" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (("--io", "uint8"), 2, "drop --io"),
        (("--precision", "float16"), 3, "cannot be written as float16"),
        (("--steps", "5"), 3, "5"),
    ],
)
def test_flags_that_do_not_fit_are_refused(  # noqa: PLR0913 - the case and its fixtures
    *,
    flags: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    images: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = save_restless(tmp_path / "px.safetensors")
    assert run(command(checkpoint, images, *flags)) == code
    assert message in capsys.readouterr().err
