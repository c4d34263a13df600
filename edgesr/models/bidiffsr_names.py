"""The authors' checkpoint of BI-DiffSR, under edgesr's names.

Their file holds one small tensor for every group of timesteps where ours has one table, and its
shifts have shape ``(1, c, 1, 1)``.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from edgesr.errors import CheckpointError
from edgesr.models.denoiser import Denoiser

_GROUPED = re.compile(
    r"(?P<conv>.*)\.(?:TaR\.dynamic_move_|TaA\.dynamic_relu_)(?P<group>\d+)\.(?P<kind>.*)"
)
_TABLES = {
    "bias": "shift",
    "pr_bias0.bias": "before",
    "pr_prelu.weight": "bend",
    "pr_bias1.bias": "after",
}
_PARTS = (
    ("timestep_level_mlp.1.", "time.first."),
    ("timestep_level_mlp.3.", "time.second."),
    ("downs.0.", "core.stem."),
    ("mid.", "core.middle."),
    ("ups.", "core.decoder."),
    ("final_conv.block.0.", "core.norm."),
    ("final_conv.block.3.", "core.head."),
)
_LAYERS = (
    ("res_block.timestep_func.1.", "project."),
    ("res_block.block1.block.0.", "norms.0."),
    ("res_block.block2.block.0.", "norms.1."),
    ("res_block.block1.conv.", "convs.0."),
    ("res_block.block2.conv.", "convs.1."),
    ("attn.norm.", "attention.norm."),
    ("attn.qkv.", "attention.triple."),
    ("attn.out.", "attention.join."),
    ("biconv_1.", "first."),
    ("biconv_2.", "second."),
    ("biconv1.", "first."),
    ("biconv2.", "second."),
    ("binary_conv.", ""),
)


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the authors' ``BIDiffSRUNet`` state dict under the names of ``bidiffsr()``.

    Args:
        state: what ``torch.load`` gives, or its ``params`` entry.

    Raises:
        CheckpointError: a name that their network does not have, or a group that is missing.
    """
    made: dict[str, Tensor] = {}
    tables: dict[str, dict[int, Tensor]] = {}
    for name, value in state.items():
        grouped = _GROUPED.fullmatch(name)
        if grouped is None:
            made[_renamed(name)] = value
            continue
        if grouped["kind"] not in _TABLES:
            raise CheckpointError(f"{name}: is no tensor of BI-DiffSR's blocks; check the file")
        table = _renamed(f"{grouped['conv']}.{_TABLES[grouped['kind']]}")
        tables.setdefault(table, {})[int(grouped["group"])] = value.flatten()
    for name, rows in tables.items():
        if sorted(rows) != list(range(len(rows))):
            raise CheckpointError(
                f"{name}: has groups {sorted(rows)}, want 0 to {len(rows) - 1}; the file is damaged"
            )
        made[name] = torch.stack([rows[group] for group in range(len(rows))])
    return made


def load_published(network: Denoiser, state: Mapping[str, Tensor]) -> None:
    """Load the authors' weights into a network of ``bidiffsr()``.

    Their network works on images in [0, 1] with OpenCV's bicubic enlargement as condition, where
    edgesr's samplers give it [-1, 1] and MATLAB's; ``edgesr.diffusion.published`` samples it as
    they do.

    Raises:
        CheckpointError: names or shapes do not fit the network.
    """
    named = from_published(state)
    try:
        network.load_state_dict(named)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"published weights do not fit this network ({reason}); build bidiffsr() with the "
            "width, levels and groups that they were trained with"
        ) from error


def _renamed(name: str) -> str:
    for theirs, ours in _PARTS:
        if name.startswith(theirs):
            found = ours + name.removeprefix(theirs)
            break
    else:
        place = re.fullmatch(r"downs\.(\d+)\.(.*)", name)
        if place is None:
            raise CheckpointError(f"{name}: is not a tensor of BI-DiffSR; check the file")
        found = f"core.encoder.{int(place[1]) - 1}.{place[2]}"
    for theirs, ours in _LAYERS:
        found = found.replace("." + theirs, "." + ours)
    return found
