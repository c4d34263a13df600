"""How a network is quantized after training, as values that tables can compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from edgesr.errors import DataError
from edgesr.quant.observers import OBSERVERS
from edgesr.quant.scheme import INT8, Scheme

Rounding = Literal["nearest", "gptq", "adaround", "block", "dorefa"]
Correction = Literal["none", "last", "all"]


@dataclass(frozen=True, kw_only=True)
class PtqRecipe:
    """Choices of post-training quantization. The defaults are what edgesr ships with.

    Attributes:
        scheme: widths.
        observer: estimator of ranges, a key of ``OBSERVERS``.
        rounding: of weights: each to its nearest code; ``gptq``, in turn against correlated inputs;
            ``adaround``, learned for one layer after the other; ``block``, learned for three layers
            at a time with the scales between them; ``dorefa``, nearest on a tangent, one scale a
            layer.
        bias_correction: of no layer, the last, or all.
        equalize: bring the channels of a tensor to one range first.
        fixed_ends: input and output on whole grey levels; False puts them on calibrated grids.
        output_search: choose the range of every tensor by the error it makes in the output; what
            ``observer`` found is one of those that are tried.
        output_step: put a residual on the step of the output.
        iterations: of learned rounding, per layer or block.
    """

    scheme: Scheme = INT8
    observer: str = "histogram_mse"
    rounding: Rounding = "gptq"
    bias_correction: Correction = "all"
    equalize: bool = True
    fixed_ends: bool = True
    output_search: bool = True
    output_step: bool = True
    iterations: int = 1000

    def __post_init__(self) -> None:
        """Refuse a name that does not exist.

        Raises:
            DataError: names the choices.
        """
        choices = {
            "observer": tuple(OBSERVERS),
            "rounding": get_args(Rounding),
            "bias_correction": get_args(Correction),
        }
        for key, names in choices.items():
            if getattr(self, key) not in names:
                raise DataError(
                    f"{key} {getattr(self, key)!r} is unknown; choose one of {', '.join(names)}"
                )
        if self.iterations < 1:
            raise DataError(f"iterations is {self.iterations}, want 1 or more")


UNPROTECTED = PtqRecipe(
    observer="moving_average",
    rounding="nearest",
    bias_correction="none",
    equalize=False,
    fixed_ends=False,
    output_search=False,
    output_step=False,
)
"""What most toolkits do by default: running ranges, calibrated ends, nearest weights."""

OURS = PtqRecipe()

RECIPES: Mapping[str, PtqRecipe] = MappingProxyType(
    {
        "unprotected": UNPROTECTED,
    }
)
