"""Which rows an ablation has: a base, and what each of them changes."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from edgesr.binary.conv import BinaryConv2d
from edgesr.binary.distillation import CODE_WEIGHT, PAPER_WEIGHT
from edgesr.binary.style import STYLES, BinaryStyle, StyleChoice
from edgesr.errors import ConfigError
from edgesr.models import MODELS
from edgesr.models.denoisers import DENOISERS, build_denoiser
from edgesr.train.config import TrainConfig
from edgesr.train.denoiser_config import style_of
from edgesr.train.gap_teacher import check_gap
from edgesr.train.revival import check_revival
from edgesr.train.whitening import check_whitening

BASE = "all off"

_FINAL_SHARE = 5
_FREQUENCY_WEIGHT = 0.1
_FEATURE_WEIGHT = 1.0
_FIRST_PATCH = 0.75
_SMALLEST_PATCH = 8
_RATE_OF_MUON = 3.0
"""Over Adam's, for weights; biases keep theirs."""
_RATE_OF_WHITENED = 2e-2
_LOOKS = 10
"""At channels that may be dead, in one run."""
_DREAM_SHARE = 3 / 4
"""A step is worth three evaluations, forward and twice that back; DREAM adds a fourth."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Attributes:
        name: of the switch.
        changes: settings that differ from the base.
        is_usual: whether it is run unless it is asked for.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    is_usual: bool = True


def base_config(config: TrainConfig) -> TrainConfig:
    """Return ``config`` with every switch off that a row turns on; it is validated at the end.

    Raises:
        ConfigError: its learning rate is that of whitened steps, which no other row has.
    """
    if config.whitened:
        raise ConfigError(
            f"whitened = true: learning_rate = {config.learning_rate} suits whitened steps alone, "
            "and every other row would have it; drop --whitened and give the optimizer's rate"
        )
    return replace(
        config,
        form="deploy",
        teacher=None,
        self_ensemble=False,
        feature_weight=0.0,
        gap_weight=0.0,
        centred=False,
        whitened=False,
        revive_every=0,
        chroma_gain=1.0,
        patch_milestones=(),
        patch_sizes=(),
        final_loss_steps=0,
        frequency_weight=0.0,
        final_frequency_weight=0.0,
        dream=False,
        spd_weight=0.0,
        val_every=config.steps,
        save_every=config.steps,
        samples=0,
        tensorboard=False,
    )


def all_rows(config: TrainConfig) -> tuple[Row, ...]:
    """Return the rows that ``config`` can have, the base first; some need its ``teacher``.

    Weights and final steps that ``config`` sets are taken; else a fifth of the steps, a frequency
    weight of 0.1, a feature weight of 1 and both published weights of SPD.

    Raises:
        ConfigError: the network is to be quantized or distilled, or is unknown.
    """
    if config.start_from is not None:
        raise ConfigError(
            f"start_from = {config.start_from}: rows start fresh, to be compared; drop --from"
        )
    if config.qat or config.distill != "none":
        raise ConfigError(
            f"qat = {str(config.qat).lower()}, distill = {config.distill}: want the training of a "
            "float or one-bit network; drop --qat and --distill"
        )
    if config.model in DENOISERS:
        return _denoiser_rows(config)
    if config.model in MODELS:
        return _one_pass_rows(config)
    raise ConfigError(
        f"model = {config.model}: is unknown, want one of {', '.join((*MODELS, *DENOISERS))}"
    )


def rows_of(config: TrainConfig, only: Sequence[str] = ()) -> tuple[Row, ...]:
    """Return the base and the rows that are usual, or those that are asked for.

    Args:
        config: settings.
        only: words in the names of rows, in capitals or not; none asks for the usual ones.

    Raises:
        ConfigError: as ``all_rows``, or no row has such a word in its name.
    """
    base, *others = all_rows(config)
    if not only:
        return (base, *(row for row in others if row.is_usual))
    for word in only:
        if not any(word.lower() in row.name.lower() for row in others):
            known = "; ".join(row.name for row in others)
            lack = "" if config.teacher else "; some need --teacher"
            raise ConfigError(f"--only {word!r}: no such row; want one of {known}{lack}")
    return (base, *(r for r in others if any(word.lower() in r.name.lower() for word in only)))


def _denoiser_rows(config: TrainConfig) -> tuple[Row, ...]:
    fewer = max(1, round(_DREAM_SHARE * config.steps))
    shorter = {"steps": fewer, "val_every": fewer, "save_every": fewer}
    weight = config.frequency_weight or _FREQUENCY_WEIGHT
    rows = [
        Row(name=BASE),
        Row(name="DREAM", changes={"dream": True}),
        Row(name="DREAM, 3/4 of the steps", changes={"dream": True, **shorter}),
        Row(name="frequencies", changes={"frequency_weight": weight}),
    ]
    if DENOISERS[config.model].styled is not None:
        rows += _binary_rows(config)
    return tuple(rows)


def _binary_rows(config: TrainConfig) -> list[Row]:
    rows = []
    own = _style(config, style_of(config))
    seen = {own}
    if own.groups > 1:
        changes: dict[str, Any] = {"binary_groups": 1}
        rows.append(Row(name="one group (no TaR/TaA)", changes=changes))
        seen.add(_style(config, StyleChoice(name=config.binary_style, groups=1)))
    if config.teacher is not None and DENOISERS[config.model].twin is not None:
        for weight in dict.fromkeys((CODE_WEIGHT, PAPER_WEIGHT, config.spd_weight or CODE_WEIGHT)):
            changes = {"teacher": config.teacher, "spd_weight": weight}
            rows.append(Row(name=f"SPD, weight {weight:g}", changes=changes))
    for name in STYLES:
        found = _style(config, StyleChoice(name=name))
        if found not in seen:
            changes = {"binary_style": name, "binary_groups": 0}
            rows.append(Row(name=f"style {name}", changes=changes, is_usual=False))
            seen.add(found)
    return rows


def _style(config: TrainConfig, choice: StyleChoice) -> BinaryStyle:
    """Return the style that the layers of the network have; nothing is allocated."""
    with torch.device("meta"):
        network = build_denoiser(config.model, config.scale, choice)
    return next(part.style for part in network.modules() if isinstance(part, BinaryConv2d))


def _one_pass_rows(config: TrainConfig) -> tuple[Row, ...]:
    final = config.final_loss_steps or max(1, config.steps // _FINAL_SHARE)
    weight = config.final_frequency_weight or _FREQUENCY_WEIGHT
    off: list[Row] = [_other_optimizer(config)]
    if config.ema_decay:
        off.append(Row(name="without averaged weights", changes={"ema_decay": 0.0}))
    if config.schedule == "cosine":
        constant = {"schedule": "step", "milestones": (), "rates": (config.learning_rate,)}
        off.append(Row(name="constant learning rate", changes=constant))
    on = _layer_rows(config)
    on.append(Row(name="chroma gain 2", changes={"chroma_gain": 2.0}))
    if MODELS[config.model].has_training_form:
        on.append(Row(name="branches", changes={"form": "training"}))
    if _passes(replace(config, gap_weight=1.0, form="deploy"), check_gap):
        grown = {"gap_weight": config.gap_weight or 1.0}
        on.append(Row(name="gap-preserving distillation", changes=grown))
    on.append(Row(name="growing patches", changes=_growing(config)))
    squares = {"final_loss": "l2", "final_loss_steps": final}
    if config.loss != "l2":
        on.append(Row(name="L2 at the end", changes=squares))
        on.append(Row(name="L2 throughout", changes={"loss": "l2"}))
    waves = {"final_frequency_weight": weight, "final_loss_steps": final}
    on.append(Row(name="frequencies at the end", changes={**waves, "final_loss": config.loss}))
    both = {**squares, **waves}
    if config.teacher is not None:
        taught = {"teacher": config.teacher, "teacher_weight": config.teacher_weight or 1.0}
        features = {"feature_weight": config.feature_weight or _FEATURE_WEIGHT}
        turned = {"self_ensemble": True}
        on.append(Row(name="teacher's images", changes=taught))
        on.append(Row(name="teacher's images, self-ensemble", changes={**taught, **turned}))
        on.append(Row(name="teacher's images and features", changes={**taught, **features}))
        both |= {**taught, **features, **turned}
    everything: dict[str, Any] = {}
    for row in on:
        everything |= row.changes
    if everything.get("form") == "training":
        for row in _layer_rows(config):  # branches do not go with them
            everything = {k: v for k, v in everything.items() if k not in row.changes}
    return (Row(name=BASE), *off, *on, Row(name="all on", changes={**everything, **both}))


def _layer_rows(config: TrainConfig) -> list[Row]:
    """Return the rows of what looks into the layers of plain networks."""
    if config.compile:
        return []
    peak = max(config.rates) if config.schedule == "step" else config.learning_rate
    rate = {**_at_rate(config, _RATE_OF_WHITENED / peak), "bias_rate_factor": 1.0, "grad_clip": 0.0}
    rows = [
        Row(name="centred steps", changes={"centred": True}),
        Row(name="whitened steps", changes={"whitened": True, **rate}),
        Row(name="revived channels", changes={"revive_every": max(1, config.steps // _LOOKS)}),
    ]
    checks = (check_revival, check_whitening)
    return [row for row in rows if _passes(replace(config, form="deploy", **row.changes), *checks)]


def _passes(config: TrainConfig, *checks: Callable[[TrainConfig], None]) -> bool:
    try:
        for check in checks:
            check(config)
    except ConfigError:
        return False
    return True


def _other_optimizer(config: TrainConfig) -> Row:
    """Return the row of the optimizer that ``config`` does not have, at the rate that suits it."""
    name, factor = (
        ("Adam", 1 / _RATE_OF_MUON) if config.optimizer == "muon" else ("Muon", _RATE_OF_MUON)
    )
    return Row(name=name, changes={"optimizer": name.lower(), **_at_rate(config, factor)})


def _at_rate(config: TrainConfig, factor: float) -> dict[str, Any]:
    """Return the settings that let weights learn ``factor`` times as fast, and biases as before."""
    return {
        "learning_rate": config.learning_rate * factor,
        "rates": tuple(rate * factor for rate in config.rates),
        "min_learning_rate": config.min_learning_rate * factor,
        "bias_rate_factor": config.bias_rate_factor / factor,
    }


def _growing(config: TrainConfig) -> dict[str, Any]:
    """Return two sizes of patches whose mean area is that of the one size."""
    first = max(_SMALLEST_PATCH, round(_FIRST_PATCH * config.patch_size))
    second = math.isqrt(2 * config.patch_size**2 - first**2)
    return {
        "patch_size": first,
        "patch_milestones": (max(1, config.steps // 2),),
        "patch_sizes": (second,),
    }
