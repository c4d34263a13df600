"""What each switch of training gives: a base run, and one more with each of them, at equal budget.

Results are kept after every run, so that an ablation that was stopped is gone on with.
"""

import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from edgesr.errors import DivergenceError
from edgesr.export.card import public_settings
from edgesr.models.centre import CentreNetwork
from edgesr.models.denoisers import DENOISERS
from edgesr.train.ablation_rows import BASE, Row, all_rows, base_config, rows_of
from edgesr.train.config import TrainConfig
from edgesr.train.diffusion import Diffusion, check_diffusion
from edgesr.train.float_twin import FloatTwin
from edgesr.train.folder import config_toml
from edgesr.train.image_teacher import ImageTeacher
from edgesr.train.loop import train
from edgesr.train.regression import Regression
from edgesr.train.shell import MakeObjective
from edgesr.train.sources import TrainingImages, data_digest
from edgesr.train.switches import check_switches
from edgesr.train.validate import PSNR_KEY
from edgesr.train.validation_loss import LOSS_KEY

__all__ = ["BASE", "SCHEMA", "Row", "ablate", "base_config", "new_document", "rows_of", "run_row"]

SCHEMA = "edgesr/ablation/1"


def run_row(  # noqa: PLR0913 - the parts of a run
    row: Row,
    config: TrainConfig,
    *,
    seed: int,
    images: TrainingImages,
    teacher: ImageTeacher | FloatTwin | None,
    centre: CentreNetwork | None = None,
) -> dict[str, Any]:
    """Train one row with one seed and return its results as JSON values.

    A run that diverges has no figures, and says why.

    Args:
        row: what to change.
        config: settings, of which the base is made.
        seed: of weights and patches.
        images: to train and to validate on.
        teacher: for rows that have one.
        centre: of a denoiser's path; None for the bicubic one.

    Raises:
        KeyboardInterrupt: training was interrupted.
    """
    mine = replace(base_config(config), seed=seed, **row.changes)
    check_switches(mine)
    check_diffusion(mine)
    taught = teacher if mine.teacher is not None else None
    events: list[dict[str, Any]] = []
    begin = perf_counter()
    diverged: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = train(
                mine,
                Path(folder),
                images=images.train,
                held_out=images.held_out,
                metadata={},
                objective=_objective(mine, taught, centre),
                listen=events.append,
            )
        except DivergenceError as error:
            diverged = {"diverged": str(error)}
        else:
            if result.interrupted:
                raise KeyboardInterrupt
    last: dict[str, Any] = {}
    if not diverged:
        last = [event for event in events if event["event"] == "validate"][-1]
    return {
        "row": row.name,
        "seed": seed,
        "changes": {key: _plain(value) for key, value in row.changes.items() if key != "teacher"},
        "psnr": last.get(PSNR_KEY),
        "seconds": round(perf_counter() - begin, 1),
        "lr_pixels": _pixels(mine),
        **diverged,
        **{key: last[key] for key in last if key.startswith("fold_") or key == LOSS_KEY},
    }


def _objective(
    config: TrainConfig, teacher: ImageTeacher | FloatTwin | None, centre: CentreNetwork | None
) -> MakeObjective:
    if config.model in DENOISERS:
        twin = teacher if isinstance(teacher, FloatTwin) else None
        return lambda rank: Diffusion(
            config=config, centre=centre, twin=twin, measures_loss=True, rank=rank
        )
    image_teacher = teacher if isinstance(teacher, ImageTeacher) else None
    return lambda _: Regression(config=config, teacher=image_teacher)


def new_document(
    config: TrainConfig, images: TrainingImages, teacher: ImageTeacher | FloatTwin | None
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
        "rows": [],
        "results": [],
    }


def ablate(  # noqa: PLR0913 - the parts of an ablation
    config: TrainConfig,
    document: Mapping[str, Any],
    *,
    seeds: Sequence[int],
    images: TrainingImages,
    teacher: ImageTeacher | FloatTwin | None,
    keep: Callable[[dict[str, Any]], None],
    centre: CentreNetwork | None = None,
    only: Sequence[str] = (),
) -> dict[str, Any]:
    """Train every row with every seed that ``document`` has no result of.

    Args:
        config: settings.
        document: new, or of the same ablation that was stopped.
        seeds: of weights and patches; every row gets each of them.
        images: to train and to validate on.
        teacher: that ``config`` names.
        keep: called with the document after each run.
        centre: of a denoiser's path; None for the bicubic one.
        only: rows, see ``rows_of``.

    Returns:
        The document with all results, rows in order.

    Raises:
        ConfigError: no row has such a name.
    """
    rows = rows_of(config, only)
    places = {row.name: place for place, row in enumerate(all_rows(config))}
    found = {(one["row"], one["seed"]): one for one in document["results"]}
    wanted = {row.name for row in rows} | {*document["rows"]}
    content = {**document, "rows": sorted(wanted, key=lambda name: places[name])}
    for seed in seeds:  # one seed after the other: a stopped ablation has whole sets of rows
        for row in rows:
            if (row.name, seed) not in found:
                made = run_row(
                    row, config, seed=seed, images=images, teacher=teacher, centre=centre
                )
                found[row.name, seed] = made
                ordered = sorted(found.values(), key=lambda one: (places[one["row"]], one["seed"]))
                content = {**content, "results": ordered}
                keep(content)
    return content


def _pixels(config: TrainConfig) -> int:
    """Return the low-resolution pixels that a run sees."""
    sides = (config.patch_size, *config.patch_sizes)
    ends = (0, *config.patch_milestones, config.steps)
    steps = [max(0, min(b, config.steps) - a) for a, b in pairwise(ends)]
    return config.batch_size * sum(n * side**2 for n, side in zip(steps, sides, strict=True))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
