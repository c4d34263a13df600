"""A file of steps upscales photographs as the denoiser that it came from does."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.cli import run
from edgesr.errors import CheckpointError, DataError, UsageError
from edgesr.export.stepwise import write_steps
from edgesr.upscalers import load_upscaler, network_evaluations, upscale_image
from edgesr.upscalers.load import Sampling, is_sampled
from edgesr.upscalers.step_schedule import METADATA_KEY, from_text, read_schedule, to_text
from tests.export.stepwise_case import Case

Photo = Callable[..., NDArray[np.uint8]]


@pytest.fixture
def file(case: Case, tmp_path: Path) -> Path:
    path = tmp_path / "steps.tflite"
    path.write_bytes(case.content)
    return path


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_a_float_file_gives_the_denoisers_picture(
    sampler: str, case: Case, tmp_path: Path, photo: Photo
) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(case.float_content)
    sampling = Sampling(seed=3, sampler=sampler)
    lr = photo(19, 26)
    found = load_upscaler(path, sampling=sampling)(lr).astype(int)
    wanted = load_upscaler(case.loaded.path, sampling=sampling)(lr)
    assert np.abs(found - wanted).max() <= 1
    assert (found != wanted).mean() < 1e-3


def test_an_int8_file_is_close_to_the_denoiser_at_the_same_noise(
    file: Path, case: Case, photo: Photo
) -> None:
    lr = photo(24, 30)
    sampling = Sampling(seed=1)
    found = load_upscaler(file, sampling=sampling)(lr).astype(float)
    wanted = load_upscaler(case.loaded.path, sampling=sampling)(lr)
    other = load_upscaler(file, sampling=Sampling(seed=2))(lr)
    assert np.square(found - wanted).mean() < np.square(found - other).mean()


def test_windows_do_not_change_the_result(file: Path, photo: Photo) -> None:
    upscaler = load_upscaler(file)
    lr = photo(57, 83)
    seen: list[tuple[int, int]] = []
    tiled = upscale_image(upscaler, lr, tile=48, on_tile=lambda *at: seen.append(at))
    assert np.array_equal(tiled, upscaler(lr))
    assert seen[-1][0] == seen[-1][1] > 2 * network_evaluations(upscaler)


def test_the_schedule_beside_the_file_is_used_where_it_has_none_inside(
    case: Case, tmp_path: Path, photo: Photo, file: Path
) -> None:
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(write_steps(case.steps))
    with pytest.raises(CheckpointError, match=r"put its \.schedule\.json beside it"):
        load_upscaler(bare)
    (tmp_path / "bare.schedule.json").write_text(to_text(case.schedule))
    lr = photo(10, 12)
    assert np.array_equal(load_upscaler(bare)(lr), load_upscaler(file)(lr))


def test_a_schedule_survives_its_text(case: Case, file: Path) -> None:
    assert from_text(to_text(case.schedule), "x") == case.schedule
    assert read_schedule(file) == case.schedule
    assert is_sampled(file)


def write(case: Case, path: Path, **changes: object) -> Path:
    first = replace(case.schedule.steps[0], **changes)  # type: ignore[arg-type]
    schedule = replace(case.schedule, steps=(first, *case.schedule.steps[1:]))
    path.write_bytes(write_steps(case.steps, metadata={METADATA_KEY: to_text(schedule)}))
    return path


def test_a_step_without_signature_is_named(case: Case, tmp_path: Path) -> None:
    path = write(case, tmp_path / "x.tflite", signature="step_07")
    with pytest.raises(CheckpointError, match="timestep 2 has no signature 'step_07'"):
        load_upscaler(path)


def test_the_schedule_of_another_file_is_refused(case: Case, tmp_path: Path) -> None:
    output = replace(case.schedule.steps[0].output, zero_point=99)
    path = write(case, tmp_path / "x.tflite", output=output)
    with pytest.raises(CheckpointError, match=r"the schedule says int8, .* and 99"):
        load_upscaler(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        (json.dumps({"schema": "edgesr/step_schedule/9"}), "want edgesr/step_schedule/1"),
        (json.dumps({"schema": "edgesr/step_schedule/1", "steps": 3}), "cannot be read"),
    ],
)
def test_a_damaged_schedule_is_refused(text: str, message: str, case: Case, tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(write_steps(case.steps, metadata={METADATA_KEY: text}))
    with pytest.raises(CheckpointError, match=message):
        load_upscaler(path)


def test_flags_that_do_not_fit_are_refused(file: Path) -> None:
    with pytest.raises(CheckpointError, match="2 steps, but 3 were asked"):
        load_upscaler(file, sampling=Sampling(steps=3))
    with pytest.raises(CheckpointError, match="x2, but x4 was asked"):
        load_upscaler(file, scale=4)
    with pytest.raises(UsageError, match="no moves for sampler mrs_ode"):
        load_upscaler(file, sampling=Sampling(sampler="mrs_ode"))
    with pytest.raises(UsageError, match="--colour-fix"):
        load_upscaler(file, sampling=Sampling(colour_fix="low_pass"))


def test_a_file_of_one_size_takes_only_that(case: Case, tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / "fixed.tflite"
    metadata = {METADATA_KEY: to_text(case.schedule)}
    path.write_bytes(write_steps(case.steps, shape=(12, 10), metadata=metadata))
    upscaler = load_upscaler(path)
    assert upscaler(photo(12, 10)).shape == (24, 20, 3)
    with pytest.raises(DataError, match="12 high and 14 wide, want 12 and 10"):
        upscaler(photo(12, 14))


def test_an_image_too_small_to_pad_is_refused(file: Path, photo: Photo) -> None:
    with pytest.raises(DataError, match="too small"):
        load_upscaler(file)(photo(1, 8))


def test_upscaling_needs_no_pytorch(file: Path, save_photo: Callable[..., Path]) -> None:
    source = save_photo(file.parent / "lr.png", 10, 12)
    code = (
        "import sys; sys.modules['torch'] = None; from edgesr.cli import run; "
        f"sys.exit(run(['upscale', '--model', {str(file)!r}, {str(source)!r}]))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: S603
    assert (file.parent / "lr_x2.png").is_file()


def test_eval_measures_a_file_of_steps(
    file: Path,
    save_photo: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_photo(tmp_path / "set" / "a.png", 32, 40)
    command = ["eval", str(file), "--data", str(tmp_path / "set"), "--seed", "1", "--json"]
    assert run([*command, "--protocol", "mai"]) == 0
    (evaluation,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert evaluation["network_evaluations"] == 2
