"""Denoising steps are timed against each other."""

import pytest
import torch

from edgesr.bench.denoisers import denoiser_contenders, denoiser_costs
from edgesr.bench.timing import run_session
from edgesr.cli import run
from edgesr.errors import ConfigError


def test_a_step_returns_an_image_and_every_contender_is_timed() -> None:
    works = denoiser_contenders(
        (8, 9), names=("resshift_px_s", "resshift_px_naf"), scale=3, sides=()
    )
    assert list(works) == ["resshift_px_s x3", "resshift_px_naf x3"]
    for work in works.values():
        made = work()
        assert isinstance(made, torch.Tensor)
        assert made.shape == (1, 3, 24, 27)
    session = run_session(works, repeats=2, warmup=0)
    assert session.failures == ()
    assert [len(timing.wall_ms) for timing in session.timings] == [2, 2]


def test_an_unknown_denoiser_is_named() -> None:
    with pytest.raises(ConfigError, match="'unet' is unknown"):
        denoiser_contenders((8, 8), names=("unet",))


@pytest.mark.parametrize("other", [["--training"], ["--suite", "mai22"], ["model.tflite"]])
def test_the_flag_stands_alone(other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--denoisers", *other]) == 2
    assert capsys.readouterr().err.startswith("error: --denoisers times diffusion steps; drop")


def test_costs_of_a_step_and_of_all_stand_beside_the_times() -> None:
    names = ("resshift_px_s",)
    found = denoiser_costs((8, 9), steps=3, names=names, scale=3, sides=())["resshift_px_s x3"]
    enlargement = 25 * 3 * 9 * 8 * 9  # 5x5 taps, three channels, nine phases
    assert found["total_macs"] == 3 * found["macs"] + enlargement
    contenders = denoiser_contenders((8, 9), names=names, scale=3, sides=())
    assert list(contenders) == ["resshift_px_s x3"]


def test_the_first_is_also_timed_on_other_sizes_and_its_cost_is_linear_in_pixels() -> None:
    names = ("resshift_px_s", "resshift_px_m")
    works = denoiser_contenders((8, 10), names=names, scale=2, sides=(0.5, 2.0))
    costs = denoiser_costs((8, 10), steps=1, names=names, scale=2, sides=(0.5, 2.0))
    sizes = ["resshift_px_s x2 5x4", "resshift_px_s x2 20x16"]
    assert list(works) == list(costs) == ["resshift_px_s x2", "resshift_px_m x2", *sizes]
    made = works[sizes[1]]()
    assert isinstance(made, torch.Tensor)
    assert made.shape == (1, 3, 32, 40)
    first = costs["resshift_px_s x2"]
    assert costs[sizes[1]]["pixels"] == 4 * first["pixels"] == 320
    assert costs[sizes[1]]["macs"] == 4 * first["macs"]


def test_steps_without_a_denoiser_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--steps", "3"]) == 2
    assert "--steps is for diffusion denoisers" in capsys.readouterr().err
