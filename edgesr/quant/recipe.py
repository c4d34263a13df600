"""How a network is quantized after training, as values that tables can compare."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

from edgesr.errors import DataError
from edgesr.quant.observers import OBSERVERS
from edgesr.quant.scheme import BITS, INT8, SCHEMES, Scheme

Rounding = Literal["nearest", "gptq", "adaround", "block", "dorefa"]
Correction = Literal["none", "last", "all"]


@dataclass(frozen=True, kw_only=True)
class PtqRecipe:
    """Choices of post-training quantization. The defaults are what edgesr exports 8 bits with.

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
    observer: str = "percentile"
    rounding: Rounding = "gptq"
    bias_correction: Correction = "all"
    equalize: bool = True
    fixed_ends: bool = True
    output_search: bool = False
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
        if self.scheme.activation_bits > BITS:
            raise DataError(
                f"scheme {self.scheme.name}: has its own quantization; call quantize_graph_int16"
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


def default_recipe(scheme: Scheme) -> PtqRecipe:
    """Return what edgesr quantizes ``scheme`` with; measured in ``docs/quantization.md``.

    Narrow activations want their ranges searched in the output. Weights narrower than activations
    do not want equalization, which spreads the weights of a channel.
    """
    if scheme.activation_bits < BITS:
        return PtqRecipe(scheme=scheme, observer="histogram_mse", output_search=True)
    return PtqRecipe(scheme=scheme, equalize=scheme.weight_bits >= BITS)


_ENDS = replace(UNPROTECTED, fixed_ends=True)
_STEP = replace(_ENDS, output_step=True)
_RANGES = replace(_STEP, observer="percentile")
_BIAS = replace(_RANGES, bias_correction="all")
_ROUNDED = replace(_BIAS, rounding="gptq")
_W4A8 = default_recipe(SCHEMES["wi4_ai8"])
_W6A6 = default_recipe(SCHEMES["wi6_ai6"])
_W4A4 = default_recipe(SCHEMES["wi4_ai4"])
_W4A4_PLAIN = replace(_W4A4, output_search=False, rounding="nearest")

RECIPES: Mapping[str, PtqRecipe] = MappingProxyType(
    {
        "unprotected": UNPROTECTED,
        "+ image ends fixed": _ENDS,
        "+ residual on the output's step": _STEP,
        "+ percentile 99.99": _RANGES,
        "+ bias correction": _BIAS,
        "+ GPTQ rounding": _ROUNDED,
        "ours (+ equalization)": OURS,
        "ours, ranges: minmax": replace(OURS, observer="minmax"),
        "ours, ranges: moving average": replace(OURS, observer="moving_average"),
        "ours, ranges: histogram MSE": replace(OURS, observer="histogram_mse"),
        "ours, ranges: histogram Lp 2.4": replace(OURS, observer="histogram_lp"),
        "ours, ranges: KL": replace(OURS, observer="kl"),
        "ours, ranges: DOBI": replace(OURS, observer="dobi"),
        "ours, ranges: PAMS": replace(OURS, observer="pams"),
        "ours, ranges: searched in the output": replace(
            OURS, observer="histogram_mse", output_search=True
        ),
        "ours, weights: nearest": replace(OURS, rounding="nearest"),
        "ours, weights: DoReFa": replace(OURS, rounding="dorefa"),
        "W4A8: nearest": replace(_W4A8, rounding="nearest"),
        "W4A8: DoReFa": replace(_W4A8, rounding="dorefa"),
        "W4A8: AdaRound": replace(_W4A8, rounding="adaround"),
        "W4A8: block reconstruction": replace(_W4A8, rounding="block"),
        "W4A8: ours": _W4A8,
        "W6A6: ours": _W6A6,
        "W4A4: minmax, nearest": replace(_W4A4_PLAIN, observer="minmax"),
        "W4A4: PAMS, nearest": replace(_W4A4_PLAIN, observer="pams"),
        "W4A4: DOBI, nearest": replace(_W4A4_PLAIN, observer="dobi"),
        "W4A4: histogram MSE, GPTQ": replace(_W4A4, output_search=False),
        "W4A4: block reconstruction": replace(_W4A4, rounding="block"),
        "W4A4: ours": _W4A4,
    }
)
"""What ``edgesr quantize --compare`` compares: what each part of ours gains, then other methods."""
