"""Take the timestep out of a denoiser: at deployment every step has a network of its own.

All steps share their weights in training. For one timestep everything that depends on it alone is
a constant, which scales filters and shifts biases; the network that is left is a plain one.
"""

import copy

import torch
from torch import Tensor, nn

from edgesr.models.conditioning import Conditioning
from edgesr.models.denoiser import Denoiser, Prediction
from edgesr.models.time_embedding import FoldsTime


class FoldedDenoiser(nn.Module):
    """A denoiser for one timestep.

    Args:
        core: joined images to the prediction, without embedding. On grid ``lr`` it is a network
            with one input of ``conditioning.channels`` channels, as ``edgesr.graph.capture`` takes.
        conditioning: how the images are joined.
        prediction: what the output is.
    """

    def __init__(
        self, *, core: nn.Module, conditioning: Conditioning, prediction: Prediction
    ) -> None:
        super().__init__()
        self.core, self.conditioning = core, conditioning
        self.prediction: Prediction = prediction

    def forward(self, x_t: Tensor, lr: Tensor, centre: Tensor | None = None) -> Tensor:
        """Predict as ``Denoiser.forward`` does at the timestep that was folded in."""
        prediction: Tensor = self.core(self.conditioning(x_t, lr, centre))
        return self.conditioning.crop(prediction, lr)


@torch.no_grad()
def fold_timestep(module: Denoiser, timestep: float) -> FoldedDenoiser:
    """Return ``module`` for this timestep alone, in evaluation mode; ``module`` stays as it is.

    Equal to ``module`` up to float32 rounding of the folded weights.

    Args:
        module: denoiser.
        timestep: what its forward would be given.
    """
    device = next(module.parameters()).device
    embedding = module.time(torch.tensor([float(timestep)], device=device))
    core = copy.deepcopy(module.core).eval()
    for layer in list(core.modules()):
        if isinstance(layer, FoldsTime):
            layer.fold_time(embedding)
    conditioning = copy.deepcopy(module.conditioning)
    return FoldedDenoiser(core=core, conditioning=conditioning, prediction=module.prediction).eval()
