"""Patches that are cut on the device are those that the sampler cuts."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.data.cache import DecodedImages
from edgesr.data.patches import PatchSampler
from edgesr.errors import ConfigError
from edgesr.train.config import TrainConfig
from edgesr.train.resident import ResidentPatches, resident_patches, size_of
from edgesr.train.switches import check_switches
from tests.train.switched import SETTINGS, Photo, pairs, trained_events

CPU = torch.device("cpu")
go = partial(trained_events, SETTINGS)


def _sampler(images: DecodedImages, **changes: Any) -> PatchSampler:
    return PatchSampler(images=images, patch_size=7, batch_size=9, seed=3, **changes)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_batches_are_the_samplers_value_for_value(photo: Photo, scale: int) -> None:
    images = pairs(photo, scale)
    sampler = _sampler(images, rank=1, patch_milestones=(12,), patch_sizes=(9,), sampling="area")
    device = ResidentPatches(sampler, CPU)
    seen = set()
    for step in range(24):
        found = device.batch(step)
        for mine, wanted in zip(found, sampler.batch(step), strict=True):
            assert mine.dtype == torch.uint8
            np.testing.assert_array_equal(mine.numpy(), wanted)
        seen |= {place.symmetry for place in sampler.places(step)}
    assert seen == set(range(8))


def test_a_run_with_images_in_memory_ends_with_the_same_bits(tmp_path: Path, photo: Photo) -> None:
    images = pairs(photo, 2)
    plain = go(tmp_path / "disk", images)
    events = go(tmp_path / "memory", images, resident="on")
    first, second = (
        (tmp_path / name / "last.safetensors").read_bytes() for name in ("disk", "memory")
    )
    assert first == second
    assert events[0] == {
        "event": "note",
        "step": 0,
        "text": "0.00 GB of images are in the memory of the training process",
    }
    assert [event["event"] for event in plain] == [event["event"] for event in events[1:]]


def test_a_cpu_needs_no_copy_of_the_images(photo: Photo) -> None:
    sampler = _sampler(pairs(photo, 2))
    for choice in ("auto", "off"):
        config = TrainConfig(**{**SETTINGS, "resident": choice})
        assert resident_patches(config, sampler, CPU) == (None, None)


def test_what_does_not_fit_into_a_gpu_is_said(
    photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pairs(photo, 2)
    assert size_of(images) == 3 * (40 * 48 * 3 + 20 * 24 * 3)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (1000, 2000))
    found, note = resident_patches(TrainConfig(**SETTINGS), _sampler(images), torch.device("cuda"))
    assert found is None
    assert note is not None
    assert "patches are cut on the CPU, which is slower" in note


def test_patches_that_are_drawn_anew_cannot_be_resident(photo: Photo) -> None:
    anew = {**SETTINGS, "degradation": "real_esrgan"}
    with pytest.raises(ConfigError, match="resident = on: real_esrgan draws every patch anew"):
        check_switches(TrainConfig(**anew, resident="on"))
    sampler = _sampler(pairs(photo, 2), degradation="real_esrgan")
    found, note = resident_patches(TrainConfig(**anew), sampler, torch.device("cuda"))
    assert found is None
    assert note == "patches are cut on the CPU: real_esrgan draws every one anew"
