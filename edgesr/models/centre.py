"""The regression network whose output a denoiser's path is centred on, and how a file holds it.

It lies in the denoiser's own file, so that one file is all that sampling needs: its tensors under a
prefix, its name and where it came from in the metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from edgesr.errors import CheckpointError
from edgesr.files import sha256_file
from edgesr.models.checkpoint import load_model, model_of_state, weights_file
from edgesr.models.descriptor import Descriptor

BICUBIC = "bicubic"
"""What the centre is called where no network makes it."""

_PREFIX = "centre."
_MODEL, _SHA256 = "centre_model", "centre_sha256"


@dataclass(frozen=True, kw_only=True, eq=False)
class CentreNetwork:
    """A trained regression network, in evaluation mode and float32, its weights held fixed.

    Attributes:
        module: maps RGB ``(n, 3, h, w)`` to ``(n, 3, h * scale, w * scale)``, both in [0, 255].
        descriptor: facts about it.
        scale: upscaling factor.
        sha256: of the weights file that it came from.
    """

    module: nn.Module
    descriptor: Descriptor
    scale: int
    sha256: str

    @property
    def params(self) -> int:
        """Its parameters, none of which a denoiser trains."""
        return self.descriptor.params[self.scale]


def load_centre(path: Path) -> CentreNetwork:
    """Load the network of a weights file, or of the best weights of a run folder, as a centre.

    Raises:
        CheckpointError: the file is missing or damaged, of a denoiser or of a quantized network,
            does not name its network, or was written anew while it was read.
    """
    path = weights_file(Path(path))
    if path.suffix == ".pth":
        raise CheckpointError(
            f"{path}: does not say which network it is of; want a run folder or .safetensors"
        )
    digest = sha256_file(path)
    loaded = load_model(path)
    if sha256_file(path) != digest:
        raise CheckpointError(f"{path}: was written anew while it was read; run again")
    module = loaded.module.requires_grad_(requires_grad=False)
    return CentreNetwork(
        module=module, descriptor=loaded.descriptor, scale=loaded.scale, sha256=digest
    )


def pack_centre(centre: CentreNetwork | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata that a denoiser's file holds of its centre."""
    if centre is None:
        return {}, {}
    tensors = {f"{_PREFIX}{name}": value for name, value in centre.module.state_dict().items()}
    return tensors, {_MODEL: centre.descriptor.name, _SHA256: centre.sha256}


def unpack_centre(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str], *, scale: int
) -> tuple[dict[str, Tensor], CentreNetwork | None]:
    """Return the tensors of a denoiser alone, and its centre; None where that is bicubic.

    Args:
        path: the file, for messages.
        state: all its tensors.
        metadata: what it says of itself.
        scale: upscaling factor of the denoiser.

    Raises:
        CheckpointError: the file names a network for its centre, but has not its weights.
    """
    name = metadata.get(_MODEL)
    if name is None:
        return dict(state), None
    own = {key: value for key, value in state.items() if not key.startswith(_PREFIX)}
    theirs = {
        key.removeprefix(_PREFIX): value for key, value in state.items() if key.startswith(_PREFIX)
    }
    if not theirs:
        raise CheckpointError(
            f"{path}: the weights of its centre, a {name}, are not in it; save it with "
            "save_denoiser or restore it"
        )
    loaded = model_of_state(path, theirs, {}, model=name, scale=scale)
    centre = CentreNetwork(
        module=loaded.module.requires_grad_(requires_grad=False),
        descriptor=loaded.descriptor,
        scale=scale,
        sha256=metadata.get(_SHA256, "unknown"),
    )
    return own, centre
