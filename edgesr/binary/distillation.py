"""Teach a binary network a float twin's feature maps, patch by patch.

Source: Zheng et al. 2024 (BiDM), arXiv 2412.05926, section 3.3 (space patched distillation). The
paper weighs the loss by 4, the authors' code by 0.01 and a mean over patches instead of a sum; both
are given here by name. Their norm runs over the whole batch; ours over each image, so that an image
is taught the same in every company.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from edgesr.errors import DataError

PAPER_WEIGHT, CODE_WEIGHT = 4.0, 1e-2
_LITTLE = 1e-12


def patch_attention(features: Tensor, patch: int) -> Tensor:
    """Return each patch's products of rows, ``P P^T``.

    Args:
        features: ``(n, c, h, w)``; rows and columns beyond whole patches are left out.
        patch: side ``p``.

    Returns:
        ``(n, c, h // p, w // p, p, p)``.

    Raises:
        DataError: an image is smaller than a patch.
    """
    height, width = features.shape[2] // patch, features.shape[3] // patch
    if not height or not width:
        raise DataError(
            f"features of {features.shape[3]}x{features.shape[2]} hold no patch of {patch}; "
            "want a smaller patch or a larger image"
        )
    whole = features[:, :, : height * patch, : width * patch]
    patches = whole.reshape(*whole.shape[:2], height, patch, width, patch).transpose(3, 4)
    products: Tensor = patches @ patches.transpose(-1, -2)
    return products


def space_patched_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], *, patch: int = 4
) -> Tensor:
    """Return the mean over blocks of the difference of normalized patch attentions.

    For each block ``||A_s / ||A_s|| - A_t / ||A_t||||``, summed over patches, divided by ``p^2``,
    and averaged over images. The teacher gets no gradient.

    Args:
        student: feature maps of each block, ``(n, c, h, w)``.
        teacher: those of its float twin, of the same shapes.
        patch: side of a patch.

    Raises:
        DataError: other blocks or shapes, or maps smaller than a patch.
    """
    if len(student) != len(teacher) or not student:
        raise DataError(
            f"{len(student)} blocks of the student and {len(teacher)} of the teacher; want as many"
        )
    losses = []
    for number, (one, other) in enumerate(zip(student, teacher, strict=True)):
        if one.shape != other.shape:
            raise DataError(
                f"block {number}: student has {tuple(one.shape)}, teacher {tuple(other.shape)}; "
                "want the same architecture"
            )
        apart = _normalized(one, patch) - _normalized(other.detach(), patch)
        by_patch = apart.square().sum(dim=(1, 4, 5)).add(_LITTLE).sqrt()
        losses.append(by_patch.sum(dim=(1, 2)).mean() / patch**2)
    return torch.stack(losses).mean()


def _normalized(features: Tensor, patch: int) -> Tensor:
    attention = patch_attention(features, patch)
    size = attention.flatten(1).norm(dim=1)
    shares: Tensor = attention / (size[:, None, None, None, None, None] + _LITTLE)
    return shares
