"""Where the options of operators lie in their tables: the linter reads these and no others."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from edgesr.lint.bounded import Table

_Field = tuple[int, str, float]
"""Slot, ``struct`` kind and default."""


def _ints(*names: str, start: int = 0) -> dict[str, _Field]:
    return {name: (start + place, "i", 0) for place, name in enumerate(names)}


def _fused(slot: int) -> dict[str, _Field]:
    return {"fused": (slot, "b", 0)}


def _dilation(slot: int) -> dict[str, _Field]:
    return {"dilation_w": (slot, "i", 1), "dilation_h": (slot + 1, "i", 1)}


_PADDING: dict[str, _Field] = {"padding": (0, "b", 0)}
_STRIDES = _ints("stride_w", "stride_h", start=1)
_POOL = _PADDING | _STRIDES | _ints("filter_w", "filter_h", start=3) | _fused(5)
_REDUCER: dict[str, _Field] = {"keep_dims": (0, "?", 0)}

FIELDS: Mapping[str, Mapping[str, _Field]] = MappingProxyType(
    {
        "ADD": _fused(0),
        "SUB": _fused(0),
        "MUL": _fused(0),
        "DIV": _fused(0),
        "AVERAGE_POOL_2D": _POOL,
        "MAX_POOL_2D": _POOL,
        "L2_POOL_2D": _POOL,
        "CONCATENATION": _ints("axis") | _fused(1),
        "CONV_2D": _PADDING | _STRIDES | _fused(3) | _dilation(4),
        "DEPTHWISE_CONV_2D": (
            _PADDING | _STRIDES | _ints("depth_multiplier", start=3) | _fused(4) | _dilation(5)
        ),
        "TRANSPOSE_CONV": _PADDING | _STRIDES | _fused(3),
        "FULLY_CONNECTED": (
            _fused(0) | {"weights_format": (1, "b", 0), "keep_num_dims": (2, "?", 0)}
        ),
        "L2_NORMALIZATION": _fused(0),
        "DEPTH_TO_SPACE": _ints("block"),
        "SPACE_TO_DEPTH": _ints("block"),
        "RESIZE_BILINEAR": {"align_corners": (2, "?", 0), "half_pixel_centers": (3, "?", 0)},
        "RESIZE_NEAREST_NEIGHBOR": {
            "align_corners": (0, "?", 0),
            "half_pixel_centers": (1, "?", 0),
        },
        "SOFTMAX": {"beta": (0, "f", 0.0)},
        "MIRROR_PAD": {"mode": (0, "b", 0)},
        "STRIDED_SLICE": _ints("begin", "end", "ellipsis", "new_axis", "shrink_axis"),
        "PACK": _ints("count", "axis"),
        "UNPACK": _ints("count", "axis"),
        "MEAN": _REDUCER,
        "SUM": _REDUCER,
    }
)
"""Options by operator. Slots as in LiteRT's schema.fbs (tflite/converter/schema)."""

FUSED: Final = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
"""Fused activations by number."""


def read_options(name: str, table: Table | None) -> Mapping[str, float]:
    """Return the options of operator ``name``; defaults where the file has no table."""
    fields = FIELDS.get(name, {})
    if table is None:
        return {key: default for key, (_, _, default) in fields.items()}
    return {key: table.number(*place) for key, place in fields.items()}
