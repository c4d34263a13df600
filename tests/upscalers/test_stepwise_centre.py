"""A file with a signature for its centre upscales as the denoiser does, or says why it cannot."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesr.errors import CheckpointError, DataError
from edgesr.export.stepwise import write_steps
from edgesr.upscalers import load_upscaler, upscale_image
from edgesr.upscalers.load import Sampling
from edgesr.upscalers.step_schedule import METADATA_KEY, from_text, to_text
from tests.export.stepwise_case import Case

Photo = Callable[..., NDArray[np.uint8]]


def test_a_float_file_gives_the_denoisers_picture(
    centred: Case, tmp_path: Path, photo: Photo
) -> None:
    path = tmp_path / "float.tflite"
    path.write_bytes(centred.float_content)
    lr = photo(19, 26)
    found = load_upscaler(path, sampling=Sampling(seed=3))(lr).astype(int)
    wanted = load_upscaler(centred.loaded.path, sampling=Sampling(seed=3))(lr)
    assert np.abs(found - wanted).max() <= 1
    assert (found != wanted).mean() < 1e-3


def test_windows_do_not_change_the_result(centred: Case, tmp_path: Path, photo: Photo) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(centred.content)
    upscaler, lr = load_upscaler(path), photo(57, 83)
    seen: list[tuple[int, int]] = []
    tiled = upscale_image(upscaler, lr, tile=48, on_tile=lambda *at: seen.append(at))
    assert np.array_equal(tiled, upscaler(lr))
    done, total = seen[-1]
    assert done == total == len(seen)


def test_a_schedule_survives_its_text_and_says_nothing_of_a_bicubic_centre(
    centred: Case, case: Case
) -> None:
    assert from_text(to_text(centred.schedule), "x") == centred.schedule
    assert centred.schedule.signatures == ("step_00", "step_01", "centre")
    assert "centre" not in json.loads(to_text(case.schedule))
    assert case.schedule.signatures == ("step_00", "step_01")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signature": "middle"}, "takes the centre from signature 'middle', the file has step_00"),
        ({"zero_point": 0}, r"has centre int8 on scale 1, zero point -128, lr int8 .* point 0; it"),
        ({"signature": "step_00"}, "signature step_00 has .*centre int8 on scale 0.00784314"),
        ({"halo": -1}, "halo -1 and zero_point -128, want whole numbers"),
        ({"halo": "wide"}, "halo 'wide' and zero_point -128, want whole numbers"),
    ],
)
def test_a_schedule_that_does_not_fit_its_file_is_refused(
    *, changes: dict[str, object], message: str, centred: Case, tmp_path: Path
) -> None:
    assert centred.schedule.centre is not None
    path = tmp_path / "x.tflite"
    centre = replace(centred.schedule.centre, **changes)  # type: ignore[arg-type]
    path.write_bytes(centred.written(replace(centred.schedule, centre=centre)))
    with pytest.raises(CheckpointError, match=message):
        load_upscaler(path)


def test_a_file_without_the_signature_or_of_another_scale_is_refused(
    centred: Case, tmp_path: Path
) -> None:
    path, text = tmp_path / "x.tflite", to_text(centred.schedule)
    path.write_bytes(write_steps(centred.steps, metadata={METADATA_KEY: text}))
    with pytest.raises(CheckpointError, match="from signature 'centre', the file has step_00, ste"):
        load_upscaler(path)
    path.write_bytes(centred.written(replace(centred.schedule, scale=4)))
    with pytest.raises(
        CheckpointError, match=r"enlarges 2 times in height and 2 in width.* for x4"
    ):
        load_upscaler(path)
    document = json.loads(text)
    document["centre"]["colour"] = 1
    with pytest.raises(CheckpointError, match=r"schedule cannot be read .*colour"):
        from_text(json.dumps(document), "x")


def test_a_tile_without_room_for_the_centres_border_is_refused(
    centred: Case, tmp_path: Path, photo: Photo
) -> None:
    assert centred.schedule.centre is not None
    path = tmp_path / "x.tflite"
    centre = replace(centred.schedule.centre, halo=30)
    path.write_bytes(centred.written(replace(centred.schedule, centre=centre)))
    with pytest.raises(DataError, match="tile of 48 pixels has nothing left"):
        upscale_image(load_upscaler(path), photo(57, 83), tile=48)
