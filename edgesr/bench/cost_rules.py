"""What one torch operation costs under each counter.

Sources: the rules of NTIRE's ``model_summary`` (2022 to 2026) and of fvcore's ``FlopCountAnalysis``
as published; `macs` is arithmetic.
"""

import math
from typing import Any

from torch import Tensor, nn

CONVOLUTIONS = frozenset(
    f"{kind}{axes}d" for kind in ("conv", "conv_transpose") for axes in (1, 2, 3)
) | {"convolution", "_convolution"}

PRODUCTS = frozenset({"linear", "matmul", "mm", "bmm", "addmm", "baddbmm"})

POINTWISE = frozenset(
    (
        "_to_copy",
        "abs",
        "add",
        "addcmul",
        "alias",
        "batch_norm",
        "clamp",
        "clamp_max",
        "clamp_min",
        "clone",
        "contiguous",
        "cos",
        "detach",
        "div",
        "dropout",
        "elu",
        "exp",
        "feature_dropout",
        "gelu",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "leaky_relu",
        "lerp",
        "log",
        "maximum",
        "minimum",
        "mish",
        "mul",
        "neg",
        "pow",
        "prelu",
        "reciprocal",
        "relu",
        "relu6",
        "round",
        "rsqrt",
        "rsub",
        "sigmoid",
        "silu",
        "sin",
        "softplus",
        "sqrt",
        "square",
        "sub",
        "tanh",
        "to",
        "where",
    )
)
"""Operations whose output pixel depends on the same pixel of every input."""

RESIZES = frozenset({"upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"})

MOVES = frozenset(
    (
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "avg_pool2d",
        "cat",
        "chunk",
        "constant_pad_nd",
        "index_select",
        "max_pool2d",
        "mean",
        "pad",
        "permute",
        "pixel_shuffle",
        "pixel_unshuffle",
        "repeat_interleave",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "sum",
        "transpose",
        "unbind",
        "var",
    )
)

KNOWN_OPERATIONS = CONVOLUTIONS | PRODUCTS | POINTWISE | RESIZES | MOVES
"""Operations that some rule reads as a whole; all others are taken apart where torch can."""

_FVCORE_EXTRAS = {
    "upsample_nearest2d": ("nearest resizing", 1, "output"),
    "upsample_bilinear2d": ("bilinear resizing at 4 an element", 4, "output"),
    "adaptive_avg_pool2d": ("adaptive pooling", 1, "input"),
    "group_norm": ("normalisation", 5, "input"),
    "native_group_norm": ("normalisation", 5, "input"),
    "layer_norm": ("normalisation", 5, "input"),
    "native_layer_norm": ("normalisation", 5, "input"),
    "grid_sampler": ("grid sampling at 4 an element", 4, "output"),
}


def operation_macs(name: str, args: tuple[Any, ...], output: Tensor) -> int:
    """Return the multiply-accumulates of one operation, without bias and activations."""
    if name in CONVOLUTIONS:
        pixels = args[0].shape[2:] if is_transposed(name, args) else output.shape[2:]
        return int(output.shape[0] * args[1].numel() * math.prod(pixels))
    if name in {"linear", "matmul", "mm", "bmm"}:
        return int(output.numel() * args[0].shape[-1])
    if name in {"addmm", "baddbmm"}:
        return int(output.numel() * args[1].shape[-1])
    if name.startswith("_scaled_dot_product"):
        query, key, value = args[:3]
        return int(
            math.prod(query.shape[:-1]) * key.shape[-2] * (query.shape[-1] + value.shape[-1])
        )
    return 0


def is_transposed(name: str, args: tuple[Any, ...]) -> bool:
    """Tell whether a convolution is a transposed one."""
    return name.startswith("conv_transpose") or ("convolution" in name and bool(args[6]))


def fvcore_extra(name: str, args: tuple[Any, ...], output: Tensor) -> tuple[str, int]:
    """Return what fvcore counts for an operation beside MACs, with the cause."""
    if name == "batch_norm":
        return "batch norm", args[0].numel() * (1 if args[1] is None else 2)
    if name not in _FVCORE_EXTRAS:
        return "", 0
    cause, factor, side = _FVCORE_EXTRAS[name]
    return cause, factor * int((output if side == "output" else args[0]).numel())


def is_hooked(module: nn.Module) -> bool:
    """Tell whether NTIRE's tool hooks ``module``."""
    return isinstance(module, (*_HOOKED_CONVOLUTIONS, *_HOOKED_OTHERS))


def ntire22_flops(module: nn.Module, image: Tensor, output: Tensor) -> tuple[str, int, int]:
    """Return for one call of a hooked module why it is counted so, its MACs and the tool's FLOPs.

    Only shapes are read: the tensors are in a trace, which would note operations on them.
    """
    made, taken = output.numel(), image.numel()
    if isinstance(module, nn.ConvTranspose2d):
        flops = made // output.shape[1] * module.weight.numel()
        macs = taken // image.shape[1] * module.weight.numel()
        return "transposed convolutions taken at output pixels", macs, flops
    if isinstance(module, nn.Conv2d):
        macs = made // output.shape[1] * module.weight.numel()
        return "", macs, macs
    if isinstance(module, nn.Linear):
        # the tool takes axis 1 for the features, which is wrong for channels-last images
        macs = made * module.in_features
        flops = macs if image.ndim == 1 else image.shape[0] * image.shape[1] * output.shape[1]
        return "linear layers by axis 1 of their tensors", macs, flops
    if isinstance(module, nn.BatchNorm2d):
        return "batch norm", 0, taken * (2 if module.affine else 1)
    return "activation modules at 1 an element", 0, made


_HOOKED_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_HOOKED_OTHERS = (
    nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.Linear, nn.BatchNorm2d,
)  # fmt: skip
