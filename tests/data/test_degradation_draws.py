"""Settings and draws of the Real-ESRGAN degradation."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from edgesr.data.degradation_draws import ChainDraw, KernelDraw, StageDraw, draw_chain
from edgesr.data.degradation_settings import RealEsrganSettings, StageSettings
from edgesr.errors import ConfigError

SETTINGS = RealEsrganSettings()


def draws(count: int, settings: RealEsrganSettings = SETTINGS) -> list[ChainDraw]:
    return [draw_chain(np.random.default_rng(seed), settings) for seed in range(count)]


def check_kernel(kernel: KernelDraw, settings: StageSettings) -> None:
    assert kernel.size in settings.kernel_sizes
    if kernel.shape == "sinc":
        least = math.pi / 5 if kernel.size >= 13 else math.pi / 3
        assert least <= kernel.cutoff <= math.pi
        return
    low, high = settings.blur_sigma
    assert low <= kernel.sigma_x <= high
    assert low <= kernel.sigma_y <= high
    assert -math.pi <= kernel.angle <= math.pi
    betas = {
        "gaussian": (1.0, 1.0),
        "generalized": settings.generalized_beta,
        "plateau": settings.plateau_beta,
    }[kernel.shape]
    assert betas[0] <= kernel.beta <= betas[1]


def check_stage(stage: StageDraw, settings: StageSettings) -> None:
    if stage.kernel is not None:
        check_kernel(stage.kernel, settings)
    assert settings.resize_factor[0] <= stage.resize_factor <= settings.resize_factor[1]
    strength = settings.noise_sigma if stage.noise == "gaussian" else settings.poisson_scale
    assert strength[0] <= stage.noise_strength <= strength[1]
    assert settings.jpeg_quality[0] <= stage.jpeg_quality <= settings.jpeg_quality[1]


def test_200_draws_stay_in_their_ranges() -> None:
    for draw in draws(200):
        check_stage(draw.first, SETTINGS.first)
        check_stage(draw.second, SETTINGS.second)
        if draw.final_sinc is not None:
            assert draw.final_sinc.shape == "sinc"
            assert math.pi / 3 <= draw.final_sinc.cutoff <= math.pi


def test_choices_come_as_often_as_the_publication_says() -> None:
    many = draws(1500)

    def share(values: list[bool]) -> float:
        return sum(values) / len(values)

    def sizes(stages: list[StageDraw]) -> list[float]:
        factors = [stage.resize_factor for stage in stages]
        return [share([f > 1 for f in factors]), share([f < 1 for f in factors])]

    first, second = [draw.first for draw in many], [draw.second for draw in many]
    assert all(stage.kernel for stage in first)
    assert share([stage.kernel is not None for stage in second]) == pytest.approx(0.8, abs=0.04)
    shapes = Counter(str(stage.kernel.shape) for stage in first if stage.kernel)
    for shape, wanted in {"gaussian": 0.63, "generalized": 0.135, "plateau": 0.135}.items():
        assert shapes[shape] / len(many) == pytest.approx(wanted, abs=0.04)
    assert shapes["sinc"] / len(many) == pytest.approx(0.1, abs=0.03)
    assert sizes(first) == pytest.approx([0.2, 0.7], abs=0.04)
    assert sizes(second) == pytest.approx([0.3, 0.4], abs=0.04)
    assert share([stage.noise == "gaussian" for stage in first]) == pytest.approx(0.5, abs=0.04)
    assert share([stage.grey_noise for stage in first]) == pytest.approx(0.4, abs=0.04)
    assert share([draw.final_sinc is not None for draw in many]) == pytest.approx(0.8, abs=0.04)
    assert share([draw.jpeg_last for draw in many]) == pytest.approx(0.5, abs=0.04)
    betas = [s.kernel.beta for s in first if s.kernel and s.kernel.shape == "generalized"]
    assert share([beta < 1 for beta in betas]) == pytest.approx(0.5, abs=0.12)


def test_every_shape_of_kernel_can_be_made() -> None:
    made = {
        draw.first.kernel.shape: draw.first.kernel.make() for draw in draws(60) if draw.first.kernel
    }
    assert set(made) == {"gaussian", "generalized", "plateau", "sinc"}
    assert all(kernel.sum() == pytest.approx(1) for kernel in made.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blur_probability": 1.1}, r"blur_probability = 1\.1: want a probability"),
        ({"grey_probability": -0.1}, "grey_probability"),
        ({"kernel_sizes": (7, 8)}, r"kernel_sizes = \(7, 8\): want odd numbers from 3"),
        ({"kernel_sizes": ()}, "kernel_sizes"),
        ({"kernel_probabilities": (0.5, 0.5)}, "want 6 probabilities with the sum 1"),
        ({"resize_probabilities": (0.5, 0.5, 0.5)}, "want 3 probabilities with the sum 1"),
        ({"blur_sigma": (0.0, 3.0)}, "blur_sigma .*: want least <= largest, above 0"),
        ({"blur_sigma": (3.0, 2.0)}, "blur_sigma .*: want least <= largest"),
        ({"noise_sigma": (-1.0, 3.0)}, "noise_sigma .* at least 0"),
        ({"jpeg_quality": (30, 101)}, "jpeg_quality .* at most 100"),
        ({"resize_factor": (0.2, 0.9)}, "resize_factor .*: want a range that holds 1"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StageSettings(**changes)


def test_a_bad_probability_of_the_final_filter_is_refused() -> None:
    with pytest.raises(ConfigError, match="final_sinc_probability = 2"):
        RealEsrganSettings(final_sinc_probability=2)
