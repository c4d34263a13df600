"""Super-resolution networks, one a file, and the table that names them."""

from edgesr.models.builders import Form
from edgesr.models.descriptor import Descriptor
from edgesr.models.registry import MODELS, build_model

__all__ = ["MODELS", "Descriptor", "Form", "build_model"]
