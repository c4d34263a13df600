"""Upscale a picture by integer simulation, whatever grids its ends are on."""

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.quant.affine import dequantize, quantize
from edgesr.quant.scheme import QuantizedGraph
from edgesr.quant.simulate import simulate

_PEAK = 255.0


def upscale_simulated(
    quantized: QuantizedGraph, lr: NDArray[np.uint8], *, kernels: str = "xnnpack"
) -> NDArray[np.uint8]:
    """Upscale one uint8 image ``(h, w, 3)`` to ``(h * scale, w * scale, 3)``.

    Grey levels are brought to the input's grid and back from the output's, clipped and rounded half
    to even. Where both are on whole grey levels, as edgesr puts them, that changes nothing.

    Args:
        quantized: graph of images in [0, 255].
        lr: RGB.
        kernels: kernel family, a key of ``KERNELS``.
    """
    source = quantized.qparams[quantized.graph.inputs[0].name]
    target = quantized.qparams[quantized.graph.outputs[0]]
    codes = torch.from_numpy(quantize(lr, source))[None]
    found = simulate(quantized, codes, kernels=kernels)[0].numpy()
    levels: NDArray[np.uint8] = np.rint(dequantize(found, target).clip(0.0, _PEAK)).astype(np.uint8)
    return levels
