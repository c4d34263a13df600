"""What each switch of training gives: a base run, and one more with each of them, at equal budget.

Results are kept after every run, so that an ablation that was stopped is gone on with.
"""

import math
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from edgesr.errors import ConfigError
from edgesr.export.card import public_settings
from edgesr.models import MODELS
from edgesr.train.config import TrainConfig
from edgesr.train.folder import config_toml
from edgesr.train.image_teacher import ImageTeacher
from edgesr.train.loop import train
from edgesr.train.regression import Regression
from edgesr.train.sources import TrainingImages, data_digest
from edgesr.train.switches import check_switches
from edgesr.train.validate import PSNR_KEY

SCHEMA = "edgesr/ablation/1"
BASE = "all off"

_FINAL_SHARE = 5
_FREQUENCY_WEIGHT = 0.1
_FEATURE_WEIGHT = 1.0
_FIRST_PATCH = 0.75
_SMALLEST_PATCH = 8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table.

    Attributes:
        name: of the switch.
        changes: settings that differ from the base.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)


def base_config(config: TrainConfig) -> TrainConfig:
    """Return ``config`` with every switch off that a row turns on; it is validated at the end."""
    return replace(
        config,
        form="deploy",
        teacher=None,
        self_ensemble=False,
        feature_weight=0.0,
        patch_milestones=(),
        patch_sizes=(),
        final_loss_steps=0,
        frequency_weight=0.0,
        final_frequency_weight=0.0,
        val_every=config.steps,
        save_every=config.steps,
        samples=0,
        tensorboard=False,
    )


def rows_of(config: TrainConfig) -> tuple[Row, ...]:
    """Return the rows that ``config`` can have; those with a teacher need its ``teacher``.

    Weights and final steps that ``config`` sets are taken; else a fifth of the steps, a frequency
    weight of 0.1 and a feature weight of 1.

    Raises:
        ConfigError: the model is no network of one pass, or it is to be quantized.
    """
    if config.model not in MODELS or config.qat:
        raise ConfigError(
            f"model = {config.model}, qat = {str(config.qat).lower()}: want float training of one "
            f"of {', '.join(MODELS)}"
        )
    final = config.final_loss_steps or max(1, config.steps // _FINAL_SHARE)
    weight = config.final_frequency_weight or _FREQUENCY_WEIGHT
    off: list[Row] = []
    if config.ema_decay:
        off.append(Row(name="without averaged weights", changes={"ema_decay": 0.0}))
    if config.schedule == "cosine":
        constant = {"schedule": "step", "milestones": (), "rates": (config.learning_rate,)}
        off.append(Row(name="constant learning rate", changes=constant))
    on: list[Row] = []
    if MODELS[config.model].has_training_form:
        on.append(Row(name="branches", changes={"form": "training"}))
    on.append(Row(name="growing patches", changes=_growing(config)))
    squares = {"final_loss": "l2", "final_loss_steps": final}
    on.append(Row(name="L2 at the end", changes=squares))
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
    return (Row(name=BASE), *off, *on, Row(name="all on", changes={**everything, **both}))


def run_row(
    row: Row,
    config: TrainConfig,
    *,
    seed: int,
    images: TrainingImages,
    teacher: ImageTeacher | None,
) -> dict[str, Any]:
    """Train one row with one seed and return its results as JSON values.

    Args:
        row: what to change.
        config: settings, of which the base is made.
        seed: of weights and patches.
        images: to train and to validate on.
        teacher: for rows that have one.

    Raises:
        KeyboardInterrupt: training was interrupted.
        DataError: training diverged.
    """
    mine = replace(base_config(config), seed=seed, **row.changes)
    check_switches(mine)
    taught = teacher if mine.teacher is not None else None
    events: list[dict[str, Any]] = []
    begin = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            mine,
            Path(folder),
            images=images.train,
            held_out=images.held_out,
            metadata={},
            objective=lambda _: Regression(config=mine, teacher=taught),
            listen=events.append,
        )
    if result.interrupted:
        raise KeyboardInterrupt
    last = [event for event in events if event["event"] == "validate"][-1]
    return {
        "row": row.name,
        "seed": seed,
        "changes": {key: _plain(value) for key, value in row.changes.items() if key != "teacher"},
        "psnr": last[PSNR_KEY],
        "seconds": round(perf_counter() - begin, 1),
        "lr_pixels": _pixels(mine),
        **{key: last[key] for key in last if key.startswith("fold_")},
    }


def new_document(
    config: TrainConfig, images: TrainingImages, teacher: ImageTeacher | None
) -> dict[str, Any]:
    """Return the results file of an ablation without results; it names no folder."""
    settings = public_settings(tomllib.loads(config_toml(base_config(config))))
    settings.pop("seed")
    photographs = "demo photographs" if images.is_demo else "photographs"
    about = None if teacher is None else {"title": teacher.title, "sha256": teacher.sha256}
    return {
        "schema": SCHEMA,
        "protocol": PSNR_KEY.removeprefix("psnr_"),
        "settings": settings,
        "data": {
            "description": f"{photographs}, low resolution by {config.degradation} degradation",
            "demo": images.is_demo,
            "train": len(images.train.names),
            "held_out": len(images.held_out.names),
            "sha256": data_digest(images.train),
        },
        "teacher": about,
        "rows": [row.name for row in rows_of(config)],
        "results": [],
    }


def ablate(  # noqa: PLR0913 - the parts of an ablation
    config: TrainConfig,
    document: Mapping[str, Any],
    *,
    seeds: Sequence[int],
    images: TrainingImages,
    teacher: ImageTeacher | None,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train every row with every seed that ``document`` has no result of.

    Args:
        config: settings.
        document: new, or of the same ablation that was stopped.
        seeds: of weights and patches; every row gets each of them.
        images: to train and to validate on.
        teacher: that ``config`` names.
        keep: called with the document after each run.

    Returns:
        The document with all results, rows in order.
    """
    rows = rows_of(config)
    places = {row.name: place for place, row in enumerate(rows)}
    found = {(one["row"], one["seed"]): one for one in document["results"]}
    content = dict(document)
    for seed in seeds:  # one seed after the other: a stopped ablation has whole sets of rows
        for row in rows:
            if (row.name, seed) not in found:
                made = run_row(row, config, seed=seed, images=images, teacher=teacher)
                found[row.name, seed] = made
                ordered = sorted(found.values(), key=lambda one: (places[one["row"]], one["seed"]))
                content = {**content, "results": ordered}
                keep(content)
    return content


def _growing(config: TrainConfig) -> dict[str, Any]:
    """Return two sizes of patches whose mean area is that of the one size."""
    first = max(_SMALLEST_PATCH, round(_FIRST_PATCH * config.patch_size))
    second = math.isqrt(2 * config.patch_size**2 - first**2)
    return {
        "patch_size": first,
        "patch_milestones": (max(1, config.steps // 2),),
        "patch_sizes": (second,),
    }


def _pixels(config: TrainConfig) -> int:
    """Return the low-resolution pixels that a run sees."""
    sides = (config.patch_size, *config.patch_sizes)
    ends = (0, *config.patch_milestones, config.steps)
    steps = [max(0, min(b, config.steps) - a) for a, b in pairwise(ends)]
    return config.batch_size * sum(n * side**2 for n, side in zip(steps, sides, strict=True))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
