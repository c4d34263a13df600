"""Ways to quantize a diffusion denoiser that tables compare."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from edgesr.diffusion.trajectories import Kind
from edgesr.quant.recipe import OURS, UNPROTECTED, PtqRecipe, default_recipe
from edgesr.quant.scheme import INT8, SCHEMES, Scheme

QAT_STEPS = 400
"""Of the optimizer in a comparison, 100 trajectories of 4 steps; few, since it trains often."""
QAT_RANK = 8
QAT_HASTE = 10.0
"""Rate of a training that has 1/40 of the steps that EfficientDM's has, 16,000."""
Grids = Literal["one", "each", "chosen"]
"""One set of activation grids for all steps, one for each, or as many groups as it takes."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """One way.

    Attributes:
        recipe: how weights and ranges are quantized.
        kind: calibration set.
        grids: of activations.
        corrected: whether the sampler takes a measured gain and mean out of predictions.
        trained: steps of the optimizer that the integers learn from the float network afterwards;
            0 for none.
        learned: what is trained: the integers (``integers``), or factors between channels and then
            the ends of ranges, by that many steps each (``two_pass``).
        rank: of adapters that are trained instead of the whole weights; None trains these.
        haste: how many times the usual learning rates of weights and biases are.
    """

    recipe: PtqRecipe
    kind: Kind = "all"
    grids: Grids = "chosen"
    corrected: bool = False
    trained: int = 0
    learned: Literal["integers", "two_pass"] = "integers"
    rank: int | None = None
    haste: float = 1.0


def _plain(observer: str, scheme: Scheme) -> PtqRecipe:
    return replace(UNPROTECTED, observer=observer, scheme=scheme)


def _published(scheme: Scheme) -> dict[str, Method]:
    """Return the calibration of published methods, with nearest weights throughout."""
    error = _plain("histogram_mse", scheme)
    extremes = _plain("minmax", scheme)
    return {
        "naive: minmax, one grid": Method(recipe=extremes, kind="uniform", grids="one"),
        "PTQ4DM set, one grid": Method(recipe=error, kind="ndtc", grids="one"),
        "Q-Diffusion set, one grid": Method(recipe=error, kind="uniform", grids="one"),
        "EDA-DM set, one grid": Method(recipe=error, kind="tdac", grids="one"),
        "TFMQ-like: minmax, grids of each step": Method(recipe=extremes, grids="each"),
        "ours, all parts": Method(recipe=default_recipe(scheme)),
        f"PassionSR-like, 2 x {QAT_STEPS // 2} steps": Method(
            recipe=extremes, trained=QAT_STEPS // 2, learned="two_pass"
        ),
        f"ours + QAT, {QAT_STEPS} steps": Method(recipe=default_recipe(scheme), trained=QAT_STEPS),
    }


def _parts() -> dict[str, Method]:
    """Return ours at 8 bits with one part changed each."""
    return {
        "ours, one grid": Method(recipe=OURS, grids="one"),
        "ours, grids of each step": Method(recipe=OURS, grids="each"),
        "ours, ranges: minmax": Method(recipe=replace(OURS, observer="minmax")),
        "ours, ranges: searched in the output": Method(recipe=replace(OURS, output_search=True)),
        "ours, weights: nearest": Method(recipe=replace(OURS, rounding="nearest")),
        "ours, no bias correction": Method(recipe=replace(OURS, bias_correction="none")),
        "ours, no equalization": Method(recipe=replace(OURS, equalize=False)),
        "ours, sampler corrected": Method(recipe=OURS, corrected=True),
        f"ours + QAT, {QAT_STEPS} steps, {QAT_HASTE:g} times the rate": Method(
            recipe=OURS, trained=QAT_STEPS, haste=QAT_HASTE
        ),
        f"ours + QAT, adapters of rank {QAT_RANK}": Method(
            recipe=OURS, trained=QAT_STEPS, rank=QAT_RANK
        ),
    }


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        **{f"W8A8: {name}": method for name, method in (_published(INT8) | _parts()).items()},
        **{
            f"{label}: {name}": method
            for label, scheme in (("W6A6", "wi6_ai6"), ("W4A8", "wi4_ai8"))
            for name, method in _published(SCHEMES[scheme]).items()
        },
    }
)
"""What ``edgesr quantize DENOISER --compare`` compares."""
