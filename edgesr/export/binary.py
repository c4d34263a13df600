"""Write a denoiser with convolutions of one bit as a packed ``.esb`` file, and check the file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.binary.esb import EsbFile, from_bytes, to_bytes
from edgesr.binary.packed import PackedConv2d, parts_of
from edgesr.errors import GateError, GraphError
from edgesr.files import sha256_file, write_bytes
from edgesr.models.centre import pack_centre
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.upscalers.packed import FACTOR, binary_layers, esb_about, packed_denoiser

_CHECK_SHAPE = (7, 10)
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class BinaryExport:
    """What was written.

    Attributes:
        model: key in ``DENOISERS``.
        scale: upscaling factor.
        bytes: of the file.
        sha256: of the file.
        float32_bytes: that all parameters would take as float32.
        centre_params: of the network that makes the centre, which is in the file; 0 where that is
            bicubic.
        binary_params: weights of one bit.
        float_params: all others.
        wide: tensors that half precision does not hold, and that stay float32.
        layers: convolutions of one bit that were run from the file.
        sums: that they made on random images.
        mismatches: sums that differ from the float simulation's.
        zero_signs: whether the checkpoint takes the sign of 0 as 0, where the file takes +1.
        zero_weights: weights of exactly 0 that became +1 for it.
        kernel: that ran them.
    """

    model: str
    scale: int
    bytes: int
    sha256: str
    float32_bytes: int
    centre_params: int
    binary_params: int
    float_params: int
    wide: tuple[str, ...]
    layers: int
    sums: int
    mismatches: int
    zero_signs: bool
    zero_weights: int
    kernel: str

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"schema": "edgesr/export-binary/1", **asdict(self)}


def export_binary(loaded: LoadedDenoiser, output: Path) -> BinaryExport:
    """Pack a denoiser, load the result, compare every packed layer's sums, and write the file.

    Args:
        loaded: a denoiser with convolutions of one bit.
        output: file to write.

    Raises:
        GraphError: it has none.
        GateError: a sum differs; nothing is written.
        OutputError: ``output`` cannot be written.
    """
    layers = binary_layers(loaded.module)
    if not layers:
        raise GraphError(
            f"{loaded.path}: {loaded.descriptor.name} has no convolution of one bit; export it "
            "without --binary"
        )
    tensors, wide = _tensors(loaded)
    styles = {name: conv.style for name, conv in layers.items()}
    data = to_bytes(EsbFile(about=esb_about(loaded, styles), tensors=tensors))
    packed = packed_denoiser(from_bytes(data, str(output)), output)
    generator = torch.Generator().manual_seed(_SEED)
    sums = mismatches = 0
    kernel = ""
    for name, conv in layers.items():
        part = packed.module.get_submodule(name)
        if not isinstance(part, PackedConv2d):
            raise GraphError(f"{name}: was not packed; this is a defect of edgesr, report it")
        image = torch.randn(1, conv.channels, *_CHECK_SHAPE, generator=generator)
        wanted = _float_sums(part, conv.parts()[0], image)
        sums += wanted.numel()
        mismatches += int((part.sums(image) != wanted).sum())
        kernel = part.weights.kernel
    if mismatches:
        raise GateError(f"{output}: {mismatches} of {sums} sums differ from the float layers'")
    write_bytes(output, data)
    dropped = [conv for conv in layers.values() if conv.style.zero == 0]
    bits = sum(conv.weight.numel() for conv in layers.values())
    centre = 0 if loaded.centre is None else loaded.centre.params
    params = sum(one.numel() for one in loaded.module.parameters()) + centre
    return BinaryExport(
        model=loaded.descriptor.name,
        scale=loaded.scale,
        bytes=len(data),
        sha256=sha256_file(output),
        float32_bytes=4 * params,
        centre_params=centre,
        binary_params=bits,
        float_params=params - bits,
        wide=wide,
        layers=len(layers),
        sums=sums,
        mismatches=mismatches,
        zero_weights=sum(int((conv.weight == 0).sum()) for conv in dropped),
        zero_signs=bool(dropped),
        kernel=kernel,
    )


def _tensors(loaded: LoadedDenoiser) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    network, (centre, _) = loaded.module.state_dict(), pack_centre(loaded.centre)
    state = {name: value.float().numpy() for name, value in {**network, **centre}.items()}
    made: dict[str, NDArray[Any]] = {}
    wide: list[str] = []
    for layer, conv in binary_layers(loaded.module).items():
        parts = parts_of(conv)
        del state[f"{layer}.weight"]
        made[f"{layer}.weight"] = parts.minus
        made[f"{layer}.{FACTOR}"] = parts.factor
    limit = float(np.finfo(np.float16).max)
    for name, value in state.items():
        if np.abs(value).max(initial=0.0) > limit:
            made[name] = value
            wide.append(name)
        else:
            made[name] = value.astype(np.float16)
    return made, tuple(wide)


def _float_sums(part: PackedConv2d, signs: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Return the sums as the float simulation has them, with the file's shift and zeros as +1."""
    shift = torch.from_numpy(part.tables[0].shift)[:, None, None]
    bits = torch.where(image + shift >= 0, 1.0, -1.0)
    edge = part.weights.side // 2
    outside = 0.0 if part.style.padding == "zero" else 1.0
    padded = torch.nn.functional.pad(bits, (edge,) * 4, value=outside)
    return torch.nn.functional.conv2d(padded, signs).to(torch.int32)
