"""A network that predicts, from a noisy image, its timestep and the low-resolution image."""

from typing import Literal

from torch import Tensor, nn

from edgesr.models.conditioning import Conditioning

Prediction = Literal["x0", "residual", "eps", "v"]
"""What a denoiser's output is: clean image, clean image minus centre, noise, or velocity."""


class Denoiser(nn.Module):
    """Time embedding and body behind one way to join the images.

    Args:
        time: timestep ``(n,)`` to embedding ``(n, e)``.
        core: ``(joined, embedding)`` to the prediction ``(n, 3, s h, s w)``; layers that read the
            embedding are ``FoldsTime``.
        conditioning: how the images are joined.
        prediction: what the output is trained to be.
    """

    def __init__(
        self,
        *,
        time: nn.Module,
        core: nn.Module,
        conditioning: Conditioning,
        prediction: Prediction,
    ) -> None:
        super().__init__()
        self.time, self.core, self.conditioning = time, core, conditioning
        self.prediction: Prediction = prediction

    @property
    def scale(self) -> int:
        """Upscaling factor."""
        return self.conditioning.scale

    def forward(
        self, x_t: Tensor, timestep: Tensor, lr: Tensor, centre: Tensor | None = None
    ) -> Tensor:
        """Predict what ``prediction`` says.

        Args:
            x_t: noisy image ``(n, 3, s h, s w)``, data in [-1, 1], scaled as its path says.
            timestep: ``(n,)``, whole numbers or real ones.
            lr: low-resolution RGB ``(n, 3, h, w)`` in [-1, 1].
            centre: ``(n, 3, s h, s w)`` in [-1, 1]; None takes bicubic interpolation of ``lr``.

        Returns:
            ``(n, 3, s h, s w)``, not clipped.

        Raises:
            DataError: the shapes do not fit each other.
        """
        joined = self.conditioning(x_t, lr, centre)
        prediction: Tensor = self.core(joined, self.time(timestep))
        return self.conditioning.crop(prediction, lr)
