"""Compare ways of quantizing one network: what each costs against the float network."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr.data.layouts import ImagePair, read_pair
from edgesr.errors import DatasetError
from edgesr.metrics import measure
from edgesr.quant.image import upscale_simulated
from edgesr.quant.scheme import SCHEMES, QuantizedGraph

SCHEMA = "edgesr/quantization/1"
PROTOCOL = "ntire-esr"
_PEAK = 255.0

Picture = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What quantization costs on one set of images, means over images.

    Attributes:
        drop: PSNR of the float network less PSNR of the integers, both rounded and against HR
            (``PROTOCOL``: RGB without a border of ``scale`` pixels), in dB.
        psnr_to_float: PSNR of the integers against the float network, not rounded, in dB.
        colour_bias: mean of integers less float for the channel where it is largest, grey levels.
    """

    drop: float
    psnr_to_float: float
    colour_bias: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Images with what the float network makes of them.

    Attributes:
        name: of the set.
        scale: upscaling factor.
        lr: RGB.
        hr: RGB.
        floats: the float network's outputs, clipped and not rounded.
        psnr: of these, rounded, against HR, in dB (``PROTOCOL``).
    """

    name: str
    scale: int
    lr: tuple[Picture, ...]
    hr: tuple[Picture, ...]
    floats: tuple[NDArray[np.float32], ...]
    psnr: tuple[float, ...]


def read_images(
    listed: Sequence[ImagePair],
    name: str,
    scale: int,
    *,
    reference: Callable[[Picture], NDArray[np.float32]],
    limit: int | None = None,
) -> Images:
    """Read all images, or ``limit`` spread evenly over the list, and run the float network.

    Raises:
        ImageError: an image cannot be read.
        DatasetError: LR and HR do not match, or there are no images.
    """
    if not listed:
        raise DatasetError(f"{name}: no images to measure on; check the path")
    count = len(listed) if limit is None else min(limit, len(listed))
    chosen = [listed[index * len(listed) // count] for index in range(count)]
    pairs = [read_pair(pair, scale) for pair in chosen]
    floats = tuple(reference(lr) for lr, _ in pairs)
    return Images(
        name=name,
        scale=scale,
        lr=tuple(lr for lr, _ in pairs),
        hr=tuple(hr for _, hr in pairs),
        floats=floats,
        psnr=tuple(
            measure(np.rint(real).astype(np.uint8), hr, scale=scale, protocol=PROTOCOL).psnr
            for real, (_, hr) in zip(floats, pairs, strict=True)
        ),
    )


def measure_quantized(quantized: QuantizedGraph, images: Images) -> Figures:
    """Run the integer simulation on ``images`` and compare with the float network."""
    drops, nearness = [], []
    bias = np.zeros(3)
    everything = zip(images.lr, images.hr, images.floats, images.psnr, strict=True)
    for lr, hr, real, best in everything:
        sr = upscale_simulated(quantized, lr)
        error = sr.astype(np.float64) - real
        bias += error.mean(axis=(0, 1))
        nearness.append(10 * math.log10(_PEAK**2 / max(float(np.square(error).mean()), 1e-12)))
        found = measure(sr, hr, scale=images.scale, protocol=PROTOCOL).psnr
        drops.append(best - found)
    worst = int(np.abs(bias).argmax())
    return Figures(
        drop=fmean(drops),
        psnr_to_float=fmean(nearness),
        colour_bias=float(bias[worst]) / len(images.lr),
    )


def row(
    name: str,
    quantized: QuantizedGraph,
    sets: Sequence[Images],
    *,
    seconds: float,
    trained: bool,
) -> dict[str, Any]:
    """Return the results of one way of quantizing as JSON values."""
    scheme = SCHEMES[quantized.scheme]
    figures = {images.name: asdict(measure_quantized(quantized, images)) for images in sets}
    return {
        "name": name,
        "scheme": scheme.name,
        "label": scheme.label,
        "simulated": scheme.simulated,
        "trained": trained,
        "seconds": round(seconds, 1),
        "figures": figures,
    }


def document(
    rows: Sequence[Mapping[str, Any]],
    *,
    network: Mapping[str, Any],
    sets: Sequence[Images],
    environment: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the results file of a comparison."""
    return {
        "schema": SCHEMA,
        "network": dict(network),
        "protocol": PROTOCOL,
        "sets": {
            images.name: {"images": len(images.lr), "float_psnr": fmean(images.psnr)}
            for images in sets
        },
        "rows": [dict(one) for one in rows],
        "environment": dict(environment),
    }
