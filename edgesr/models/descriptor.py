"""What is known of a network without building it."""

from collections.abc import Mapping
from dataclasses import dataclass

from edgesr.models.builders import Build


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """What a network is, without building it.

    Attributes:
        name: key in ``MODELS``.
        title: one line for listings.
        build: makes the ``torch.nn.Module`` for an upscaling factor, in either form.
        scales: upscaling factors that it is built for.
        channels: image channels in and out (RGB).
        receptive_field: width in low-resolution pixels of the area that one output pixel sees.
        params: trainable parameters of the deployed form by upscaling factor.
        macs_per_pixel: multiply-accumulates of the deployed form per low-resolution pixel by
            upscaling factor, those of a fixed anchor included.
        source: paper and arXiv id.
        has_training_form: whether there is a form with branches to train, which folds into the
            deployed one.
    """

    name: str
    title: str
    build: Build
    scales: tuple[int, ...] = (2, 3, 4)
    channels: int = 3
    receptive_field: int
    params: Mapping[int, int]
    macs_per_pixel: Mapping[int, int]
    source: str
    has_training_form: bool = True
