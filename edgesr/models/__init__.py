"""Super-resolution networks, one a file, and the table that names them."""

from edgesr.models.registry import MODELS, Descriptor, build_model

__all__ = ["MODELS", "Descriptor", "build_model"]
