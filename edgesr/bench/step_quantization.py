"""Compare ways of quantizing one diffusion denoiser: whole trajectories from the same noise."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesr.data.layouts import ImagePair, read_pair
from edgesr.diffusion.centre import regression_of
from edgesr.diffusion.conditioned import ConditionedDenoiser
from edgesr.diffusion.integer_steps import IntegerNetwork
from edgesr.diffusion.path import Path
from edgesr.diffusion.ranges import from_grey_levels, to_grey_levels
from edgesr.diffusion.tiles import StepNetwork
from edgesr.errors import DatasetError
from edgesr.metrics import measure
from edgesr.models.centre import CentreNetwork
from edgesr.perception import load_metrics
from edgesr.quant.scheme import SCHEMES
from edgesr.quant.stepwise import INPUT_LEVELS, StepwiseModel, input_codes

SCHEMA = "edgesr/diffusion-quantization/1"
PROTOCOL = "classic-y"
METRICS = ("gmsd", "spectrum_distance_db", "high_frequency_ratio")
_PEAK = 255.0

Picture = NDArray[np.uint8]
Sampled = Callable[[Picture], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """Images with what the float network makes of them.

    Attributes:
        name: of the set.
        scale: upscaling factor.
        lr: RGB.
        hr: RGB.
        floats: ends of the float trajectories, in [0, 255], not rounded.
        listed: images that the whole set has.
    """

    name: str
    scale: int
    lr: tuple[Picture, ...]
    hr: tuple[Picture, ...]
    floats: tuple[NDArray[np.float32], ...]
    listed: int


class RoundedInputs:
    """The float network behind images on grey levels: what 8 bits at the input alone cost.

    Args:
        network: float denoiser on grid ``lr``.
    """

    def __init__(self, network: StepNetwork) -> None:
        self._network = network
        self.prediction, self.scale = network.prediction, network.scale

    def __call__(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None, /
    ) -> Tensor:
        """Predict from ``x_t`` rounded to grey levels; ``lr`` is on them already."""
        # a code stands for half a level less than the image has
        codes = input_codes(x_t).permute(0, 3, 1, 2).float() + 0.5
        return self._network(codes * float(INPUT_LEVELS.scale), timestep, lr, centre)


def sampled_by(
    network: StepNetwork,
    whole: Path,
    path: Path,
    *,
    seed: int,
    centre: CentreNetwork | None = None,
) -> Sampled:
    """Return the sampling of one image with ``ddim``, in [0, 255] and not rounded.

    Args:
        network: float or integer.
        whole: path that it was trained on.
        path: that is sampled.
        seed: of the noise.
        centre: makes the centre; None for the bicubic one.
    """
    regression = regression_of(centre)

    def run(lr: Picture) -> NDArray[np.float32]:
        batch = from_grey_levels(torch.from_numpy(lr).permute(2, 0, 1)[None].float())
        denoiser = ConditionedDenoiser(network, whole, regression=regression)
        made = denoiser.sample(batch, seed=seed, path=path)
        levels: NDArray[np.float32] = to_grey_levels(made)[0].permute(1, 2, 0).numpy()
        return levels

    return run


def read_trajectories(
    listed: Sequence[ImagePair],
    name: str,
    scale: int,
    *,
    sample: Sampled,
    limit: int | None = None,
) -> Trajectories:
    """Read all images, or ``limit`` spread evenly over the list, and sample the float network.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: LR and HR do not match, or there are no images.
    """
    if not listed:
        raise DatasetError(f"{name}: no images to measure on; check the path")
    count = len(listed) if limit is None else min(limit, len(listed))
    pairs = [read_pair(listed[index * len(listed) // count], scale) for index in range(count)]
    return Trajectories(
        name=name,
        scale=scale,
        lr=tuple(lr for lr, _ in pairs),
        hr=tuple(hr for _, hr in pairs),
        floats=tuple(sample(lr) for lr, _ in pairs),
        listed=len(listed),
    )


def figures(images: Trajectories, sample: Sampled | None) -> dict[str, float]:
    """Return means over images.

    ``psnr`` and ``ssim`` against HR by ``PROTOCOL``, each metric of ``METRICS`` against HR, and
    ``psnr_to_float`` of the rounded result against the float trajectory from the same noise, dB.

    Args:
        images: with the ends of the float trajectories.
        sample: what is measured; None measures the float trajectories themselves.
    """
    metrics = load_metrics(METRICS)
    rows: list[dict[str, float]] = []
    for lr, hr, real in zip(images.lr, images.hr, images.floats, strict=True):
        sr = np.rint(real if sample is None else sample(lr)).astype(np.uint8)
        score = measure(sr, hr, scale=images.scale, protocol=PROTOCOL)
        error = float(np.square(sr - real.astype(np.float64)).mean())
        rows.append(
            {
                "psnr_to_float": 10 * math.log10(_PEAK**2 / max(error, 1e-12)),
                "psnr": score.psnr,
                "ssim": score.ssim,
                **{name: metric(sr, hr, images.scale) for name, metric in metrics.items()},
            }
        )
    return {key: round(fmean(row[key] for row in rows), 6) for key in rows[0]}


def squared_error(images: Trajectories, sample: Sampled) -> float:
    """Return the mean over images of the squared error to float, grey levels, nothing rounded."""
    pairs = zip(images.lr, images.floats, strict=True)
    errors = [np.square(sample(lr).astype(np.float64) - real).mean() for lr, real in pairs]
    return round(float(np.mean(errors)), 6)


def row(  # noqa: PLR0913 - what a row is made of
    name: str,
    model: StepwiseModel,
    sets: Sequence[Trajectories],
    paths: tuple[Path, Path],
    *,
    seed: int,
    seconds: float,
    centre: CentreNetwork | None = None,
) -> dict[str, Any]:
    """Return the results of one way of quantizing as JSON values.

    Args:
        name: of the way.
        model: quantized steps.
        sets: images.
        paths: that the network was trained on, and that is sampled.
        seed: of the noise, that of the float trajectories.
        seconds: time that quantization took.
        centre: makes the centre, in integers as the steps are; None for the bicubic one.
    """
    scheme = SCHEMES[model.steps[0].quantized.scheme]
    sample = sampled_by(IntegerNetwork(model), *paths, seed=seed, centre=centre)
    return {
        "name": name,
        "scheme": scheme.name,
        "simulated": scheme.simulated,
        "groups": [step.group for step in model.steps],
        "seconds": round(seconds, 1),
        "figures": {images.name: figures(images, sample) for images in sets},
    }


def document(
    rows: Sequence[Mapping[str, Any]],
    *,
    network: Mapping[str, Any],
    sets: Sequence[Trajectories],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the results file of a comparison."""
    return {
        "schema": SCHEMA,
        "network": dict(network),
        "protocol": PROTOCOL,
        "sets": {
            images.name: {
                "images": len(images.lr),
                "listed": images.listed,
                "float": figures(images, None),
            }
            for images in sets
        },
        "rows": [dict(one) for one in rows],
        "environment": dict(environment),
    }
