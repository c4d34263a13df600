"""The comparison of quantized denoisers: figures against float, and the page of them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgesr.bench.step_methods import METHODS
from edgesr.bench.step_quantization import RoundedInputs, Trajectories, figures
from edgesr.bench.step_quantization_page import step_quantization_page
from edgesr.diffusion.prediction import Prediction
from edgesr.diffusion.ranges import from_grey_levels


class Identity:
    prediction: Prediction = "x0"
    scale = 2

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, _centre: Tensor | None = None, /
    ) -> Tensor:
        del timestep, lr
        return x_t


def test_rounded_inputs_are_grey_levels() -> None:
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    network = RoundedInputs(Identity())
    found = network(x, torch.tensor([1]), torch.zeros(1, 3, 4, 4))
    levels = (found + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-3
    assert (found - x).abs().max() <= 1 / 255 + 1e-6
    exact = from_grey_levels(torch.arange(192).float().view(1, 3, 8, 8))
    assert (network(exact, torch.tensor([1]), exact) - exact).abs().max() < 1e-6


def test_figures_of_the_float_trajectory_itself_are_those_of_rounding() -> None:
    random = np.random.default_rng(0)
    hr = random.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    real = np.clip(hr + random.normal(0, 5, hr.shape), 0, 255).astype(np.float32)
    images = Trajectories(
        name="made", scale=2, lr=(hr[::2, ::2],), hr=(hr,), floats=(real,), listed=1
    )
    own = figures(images, None)
    assert 58 < own["psnr_to_float"] < 60
    off = figures(images, lambda _: real + 3.0 * (real < 250))
    assert off["psnr_to_float"] < 40 < own["psnr_to_float"]


def test_the_page_says_what_share_of_the_naive_loss_is_recovered() -> None:
    def row(name: str, psnr: float) -> dict[str, Any]:
        measured = {
            "psnr_to_float": psnr,
            "psnr": 27.0,
            "ssim": 0.8,
            "gmsd": 0.1,
            "spectrum_distance_db": 3.0,
            "high_frequency_ratio": 0.9,
        }
        return {
            "name": name,
            "groups": [0, 1],
            "simulated": name.startswith("W4"),
            "figures": {"Set5": measured},
        }

    document = {
        "network": {
            "model": "tiny",
            "scale": 2,
            "timesteps": [4, 2],
            "sha256": "f" * 64,
            "schedule": "resshift",
            "seed": 0,
            "calibration": "8 crops",
        },
        "environment": {"packages": {"torch": "2"}},
        "sets": {
            "Set5": {
                "images": 5,
                "float": row("float32", 59.0)["figures"]["Set5"],
                "rounded": row("rounded", 50.0)["figures"]["Set5"],
            }
        },
        "rows": [
            row("W8A8: naive: minmax, one grid", 40.0),
            row("W8A8: ours, all parts", 43.0103),
            row("W4A8: ours, all parts", 39.0),
        ],
        "disturbances": [],
        "parts": {"Set5": {"noisy image": 0.1, "weights": 0.25, "all": 0.36}},
    }
    page = step_quantization_page([document])
    assert "result is rounded: 0.360 grey" in page
    assert "noisy image 0.100, weights 0.250; together 0.350" in page
    assert "| W4A8: ours, all parts *(simulated)* | 0 1 | 39.00 |" in page
    assert "ours takes 50 % away" in page
    assert "rounding of the images, 56 %" in page


def test_every_scheme_has_the_published_methods_and_ours() -> None:
    for scheme in ("W8A8", "W6A6", "W4A8"):
        names = [name for name in METHODS if name.startswith(f"{scheme}: ")]
        assert sum("ours" in name for name in names) >= 1
        assert sum("QAT" in name for name in names) >= 1
        assert sum("PassionSR-like" in name for name in names) == 1
        assert len(names) >= 8


def test_sets_of_one_network_come_into_one_section_and_subsets_are_called_so() -> None:
    figures = {
        "psnr_to_float": 50.0,
        "psnr": 27.0,
        "ssim": 0.8,
        "gmsd": 0.1,
        "spectrum_distance_db": 3.0,
        "high_frequency_ratio": 0.9,
    }
    network = {
        "model": "tiny",
        "scale": 2,
        "timesteps": [4, 2],
        "sha256": "f" * 64,
        "schedule": "resshift",
        "seed": 0,
        "calibration": "8 crops",
    }
    documents = [
        {
            "network": network,
            "environment": {"packages": {"torch": "2"}},
            "sets": {name: {"images": 5, "listed": listed, "float": figures, "rounded": figures}},
            "rows": [],
        }
        for name, listed in (("Set5", 5), ("BSD100", 100))
    ]
    page = step_quantization_page(documents)
    assert page.count("## tiny x2") == 1
    assert "Set5 (5 images):" in page
    assert "BSD100 (5 images of 100, evenly spread):" in page
