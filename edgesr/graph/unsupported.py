"""What to use in place of a torch operation that a graph has no form for."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

_NEAREST_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "gelu": "use ReLU or ReLU6",
        "hardswish": "use ReLU or ReLU6",
        "leaky_relu": "use ReLU or ReLU6",
        "prelu": "use ReLU or ReLU6",
        "sigmoid": "use ReLU or ReLU6",
        "silu": "use ReLU or ReLU6",
        "tanh": "use ReLU or ReLU6",
        "group_norm": "use BatchNorm2d, which folds into the convolution",
        "layer_norm": "use BatchNorm2d, which folds into the convolution",
        "instance_norm": "use BatchNorm2d, which folds into the convolution",
        "conv_transpose2d": "use Conv2d and PixelShuffle",
        "upsample_bilinear2d": "use nearest upsampling or PixelShuffle",
        "upsample_bicubic2d": "use nearest upsampling or PixelShuffle",
        "max_pool2d": "use a Conv2d with a stride",
        "avg_pool2d": "use a Conv2d with a stride",
        "linear": "use a 1x1 Conv2d",
        "matmul": "use a 1x1 Conv2d",
        "pixel_unshuffle": "use a Conv2d with a stride",
        "view": "use PixelShuffle, or index_select along the channels",
        "reshape": "use PixelShuffle, or index_select along the channels",
        "permute": "use PixelShuffle, or index_select along the channels",
    }
)


def nearest_form(target: str, supported: Iterable[str]) -> tuple[str, str]:
    """Return the short name of a torch operation and what to use in its place.

    Args:
        target: such as ``aten.gelu.default``.
        supported: the same for all operations that have a form.
    """
    operation = target.removeprefix("aten.").rpartition(".")[0] or target
    known = ", ".join(sorted({name.split(".")[1] for name in supported}))
    return operation, _NEAREST_FORMS.get(operation, f"use one of: {known}")
