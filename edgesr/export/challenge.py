"""The files that the Mobile AI challenge asks for; light, so that names are checked early."""

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgesr.export.tflite import Io

CHALLENGE_FILES: "Mapping[str, tuple[Io, tuple[int, int] | None]]" = MappingProxyType(
    {
        "model.tflite": ("uint8", (360, 640)),
        "model_none.tflite": ("uint8", None),
        "model_none_float.tflite": ("float32", None),
    }
)
"""Name, I/O and fixed input size (height, width) of each file."""
