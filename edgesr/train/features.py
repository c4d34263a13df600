"""What hidden layers look at: read while a network runs, and compared between two networks."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgesr.models.blocks import IMAGE_CHANNELS
from edgesr.models.reparameterize import BranchedConv

_PLACES = 3
_TINY = 1e-6


class LayerReader:
    """Collects what layers return, in the order in which they run.

    Args:
        training_only: read networks in training mode only, not their validated average.
    """

    def __init__(self, *, training_only: bool) -> None:
        self._training_only = training_only
        self._seen: list[Tensor] = []

    def attach(self, layers: Iterable[nn.Module]) -> None:
        """Read ``layers`` from now on."""
        see = self._hook()
        for layer in layers:
            layer.register_forward_hook(see)

    def take(self) -> list[Tensor]:
        """Return what the layers made since the last call."""
        seen = list(self._seen)
        self._seen.clear()
        return seen

    def _hook(self) -> Callable[[nn.Module, object, Tensor], None]:
        seen, training_only = self._seen, self._training_only

        # a plain function: copies of the network share it, where a bound method would be copied
        def see(layer: nn.Module, _inputs: object, output: Tensor) -> None:
            if layer.training or not training_only:
                seen.append(output)

        return see


class FeatureReader:
    """Collects what the convolutions of networks return, in the order in which they run.

    A network in training form runs one folded convolution for all branches of a layer; that one is
    read.

    Args:
        training_only: read networks in training mode only, not their validated average.
    """

    def __init__(self, *, training_only: bool) -> None:
        self._reader = LayerReader(training_only=training_only)

    def attach(self, network: nn.Module) -> None:
        """Read ``network`` from now on."""
        convolutions = (nn.Conv2d, BranchedConv)
        self._reader.attach(one for one in network.modules() if isinstance(one, convolutions))

    def take(self) -> list[Tensor]:
        """Return the hidden features since the last call: three places from front to back.

        The last convolution makes the picture and is none of them; maps of three channels or less
        are images. A network without convolutions has none.
        """
        hidden = [one for one in self._reader.take()[:-1] if one.shape[1] > IMAGE_CHANNELS]
        if not hidden:
            return []
        return [hidden[-(-place * len(hidden) // _PLACES) - 1] for place in range(1, _PLACES + 1)]


def attention(features: Tensor) -> Tensor:
    """Return where a layer is active: mean over channels of squares behind a ReLU, of power 1.

    Args:
        features: ``(n, c, h, w)`` with whatever number of channels.

    Returns:
        ``(n, 1, h, w)`` whose root mean square is 1 for every image.

    Source: Zagoruyko and Komodakis 2017, arXiv 1612.03928, section 3.1, with the sum of squares;
    scaled to a root mean square of 1, so that its size does not depend on that of the patch.
    """
    energy = functional.relu(features.float()).square().mean(1, keepdim=True)
    return energy / (energy.square().mean((2, 3), keepdim=True) + _TINY).sqrt()


def attention_distance(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of the attention of layers, paired by their place."""
    pairs = zip(features, wanted, strict=True)
    return torch.stack([(attention(a) - attention(b)).abs().mean() for a, b in pairs]).mean()
