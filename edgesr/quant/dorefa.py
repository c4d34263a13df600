"""DoReFa's weights: the hyperbolic tangent of the weights on a uniform grid, one scale a layer.

Source: Zhou et al. 2016, "DoReFa-Net", arXiv 1606.06160, eq. 9, with symmetric codes and with the
largest weight instead of 1 as the end of the range, because these networks have no normalization
that would take the difference back.
"""

import numpy as np
import numpy.typing as npt

from edgesr.quant.scheme import weight_max


def dorefa_weights(
    weight: npt.NDArray[np.float32], *, channels: int, bits: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return codes and the scale, the same for every channel.

    Args:
        weight: float weight, any layout.
        channels: number of output channels.
        bits: width of the codes.
    """
    bent = np.tanh(weight.astype(np.float64))
    largest = max(float(np.abs(bent).max()), float(np.finfo(np.float32).tiny))
    codes = np.rint(bent / largest * weight_max(bits)).astype(np.int8)  # eq. 9
    end = max(float(np.abs(weight).max()), float(np.finfo(np.float32).tiny))
    scales = np.full(channels, np.float32(end / weight_max(bits)), np.float32)
    return codes, scales
