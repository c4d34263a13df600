"""Compare denoisers, each at several numbers of steps, with bicubic and networks of one pass.

Results are kept in one JSON document that grows by a row at a time, so that an interrupted
measurement loses none. A row is one network, at one number of steps, on one set of images.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from edgesr.data.layouts import Dataset, read_pair
from edgesr.errors import DataError
from edgesr.evaluate import evaluate
from edgesr.files import sha256_file
from edgesr.perception import PERCEPTUAL
from edgesr.perception.seeds import diversity
from edgesr.upscalers import Upscaler, load_upscaler, network_evaluations
from edgesr.upscalers.load import FULL, Sampling, is_sampled

SCHEMA = "edgesr/diffusion/1"
PROTOCOL = "classic-y"
BICUBIC = "bicubic"
RUN_SHA256 = "run_sha256"
"""In the metadata of a published file: the hash of the file in the run that it was made from."""

_FEWEST_SEEDS = 2


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network at one number of steps.

    Attributes:
        name: what the table calls it.
        source: weights, .tflite, run folder, or ``bicubic``.
        scale: upscaling factor.
        sha256: of its file, or of the file in the run that it was published from; None of bicubic.
        model: what the file says that it is, where it does.
        steps: evaluations that are asked for; None where nothing is sampled.
        path_steps: steps of the path that a denoiser was trained on.
        is_usual: whether this is the number of steps that is taken where none is asked for.
        is_distilled: whether the network knows only this number.
        teacher_sha256: of the file that a distilled network learned from.
    """

    name: str
    source: Path | str
    scale: int
    sha256: str | None = None
    model: str | None = None
    steps: int | None = None
    path_steps: int | None = None
    is_usual: bool = True
    is_distilled: bool = False
    teacher_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every row of a document has in common.

    Attributes:
        seed: of the noise behind PSNR and the other metrics, and the first one of ``seeds``.
        seeds: how many of them the diversity is measured over; below 2 it is left out.
        sampler: a name in ``edgesr.diffusion.samplers.SAMPLERS``.
        limit: only the first so many images of every set.
    """

    seed: int = 0
    seeds: int = 4
    sampler: str = "ddim"
    limit: int | None = None


def candidates(
    name: str, source: Path | str, *, steps: Sequence[int] = (), scale: int | None = None
) -> tuple[Candidate, ...]:
    """Return a source at all the numbers of steps that it is to be measured at.

    Args:
        name: what the table calls it.
        source: weights, .tflite, run folder, or ``bicubic``.
        steps: evaluations of a denoiser; none takes all of its path, what it takes where none is
            asked for, and 1. A distilled network is measured at the number that it knows.
        scale: upscaling factor; needed for ``bicubic``, checked elsewhere.

    Raises:
        CheckpointError: the file is missing, damaged, or of another scale.
        DiffusionError: more steps than the path has.
        UsageError: ``bicubic`` without a scale.
    """
    if not is_sampled(source):
        loaded = load_upscaler(source, scale=scale)
        digest = None if loaded.name == BICUBIC else _digest(Path(source))
        return (Candidate(name=name, source=source, scale=loaded.scale, sha256=digest),)
    from edgesr.models.denoiser_files import load_denoiser
    from edgesr.upscalers.diffusion import path_of, sampling_path

    denoiser = load_denoiser(Path(source), scale=scale)
    schedule = denoiser.schedule
    whole = path_of(schedule, denoiser.path).num_steps
    usual = sampling_path(denoiser, None).num_steps
    asked = [usual] if schedule.is_distilled else list(steps or (whole, usual, 1))
    counts = sorted({sampling_path(denoiser, count).num_steps for count in asked}, reverse=True)
    return tuple(
        Candidate(
            name=name,
            source=source,
            scale=denoiser.scale,
            sha256=denoiser.metadata.get(RUN_SHA256, sha256_file(denoiser.path)),
            model=denoiser.descriptor.name,
            steps=count,
            path_steps=whole,
            is_usual=count == usual,
            is_distilled=schedule.is_distilled,
            teacher_sha256=denoiser.metadata.get("teacher_sha256"),
        )
        for count in counts
    )


def measure(
    candidate: Candidate,
    dataset: Dataset,
    settings: Settings,
    *,
    threads: int | None = None,
    on_image: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure one candidate on one set and return its row, without the set's name.

    PSNR and SSIM are those of ``PROTOCOL``, the others those of ``edgesr.perception``; all are
    means over the images, sampled from one seed. ``diversity`` is in grey levels.

    Args:
        candidate: what is measured.
        dataset: pairs for its scale.
        settings: seeds, sampler and limit.
        threads: CPU threads; None leaves the choice to the runtime.
        on_image: called with the number of images done and their total after each.

    Raises:
        DatasetError: no images, or one that is too small for a metric.
        ImageError: an image cannot be read.
        DiffusionError: a value is not finite while sampling, or there is no such sampler.
    """
    upscaler = _upscaler(candidate, settings, settings.seed, threads)
    found = evaluate(
        upscaler,
        dataset,
        (PROTOCOL,),
        metrics=tuple(PERCEPTUAL),
        limit=settings.limit,
        on_image=on_image,
    )
    score = found.scores[PROTOCOL]
    facts = {key: value for key, value in asdict(candidate).items() if key not in _UNSAID}
    return {
        **facts,
        "evaluations": 0 if candidate.source == BICUBIC else network_evaluations(upscaler),
        "psnr_y": score.psnr if math.isfinite(score.psnr) else None,
        "ssim_y": score.ssim,
        **found.perceptual,
        "diversity": _diversity(candidate, dataset, settings, threads),
        "seconds_per_image": found.seconds / len(found.images),
    }


def new_document(
    settings: Settings, datasets: Mapping[str, Dataset], *, previous: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a document without rows, or ``previous`` made ready for more.

    Args:
        settings: of the rows to come.
        datasets: name to images, all for one scale.
        previous: an earlier document that is to be gone on with.

    Raises:
        DataError: that one was measured with other settings, at another scale or on other images.
        ImageError: an image cannot be read.
    """
    scales = {dataset.scale for dataset in datasets.values()}
    head = {"scale": scales.pop(), "protocol": PROTOCOL, **asdict(settings)}
    sets = {name: _set_facts(found, settings.limit) for name, found in datasets.items()}
    if previous is None:
        return {"schema": SCHEMA, **head, "sets": sets, "rows": [], "environments": []}
    for key, value in head.items():
        if previous.get(key) != value:
            raise DataError(
                f"the results that are there have {key} {previous.get(key)}, but {value} was asked "
                "for; name another file with --results"
            )
    for name, facts in sets.items():
        if previous["sets"].get(name, facts) != facts:
            raise DataError(
                f"the results that are there have other images named {name}; name another file "
                "with --results"
            )
    return {**previous, "sets": {**previous["sets"], **sets}}


def is_measured(document: Mapping[str, Any], candidate: Candidate, name: str) -> bool:
    """Tell whether the row of ``candidate`` on set ``name`` is there, from the same weights."""
    return any(
        _place(row) == (candidate.name, candidate.steps, name) and row["sha256"] == candidate.sha256
        for row in document["rows"]
    )


def with_row(
    document: Mapping[str, Any], row: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the document with one more row, in place of one of the same name, steps and set."""
    environments = list(document["environments"])
    if environment not in environments:
        environments.append(dict(environment))
    row = {**row, "environment": environments.index(environment)}
    kept = [one for one in document["rows"] if _place(one) != _place(row)]
    places = [_place(one) for one in document["rows"]]
    at = places.index(_place(row)) if _place(row) in places else len(kept)
    return {**document, "rows": [*kept[:at], row, *kept[at:]], "environments": environments}


_UNSAID = ("source", "scale")
"""Fields of a candidate that are not in its row: a path of this machine, and what all share."""


def _place(row: Mapping[str, Any]) -> tuple[str, int | None, str]:
    return row["name"], row["steps"], row["set"]


def _upscaler(candidate: Candidate, settings: Settings, seed: int, threads: int | None) -> Upscaler:
    sampling = FULL
    if candidate.steps is not None:
        sampling = Sampling(steps=candidate.steps, seed=seed, sampler=settings.sampler)
    return load_upscaler(
        candidate.source, scale=candidate.scale, threads=threads, sampling=sampling
    )


def _diversity(
    candidate: Candidate, dataset: Dataset, settings: Settings, threads: int | None
) -> float | None:
    if candidate.steps is None or settings.seeds < _FEWEST_SEEDS:
        return None
    seeds = range(settings.seed, settings.seed + settings.seeds)
    samplers = [_upscaler(candidate, settings, seed, threads) for seed in seeds]
    found = []
    for pair in dataset.pairs[: settings.limit]:
        lr, _ = read_pair(pair, dataset.scale)
        found.append(diversity(np.stack([sample(lr) for sample in samplers])))
    return fmean(found)


def _set_facts(dataset: Dataset, limit: int | None) -> dict[str, Any]:
    pairs = dataset.pairs[:limit]
    digest = hashlib.sha256()
    for pair in pairs:
        for path in (pair.hr, pair.lr):
            digest.update((sha256_file(path) if path else "made").encode())
    made = any(pair.lr is None for pair in pairs)
    return {
        "images": len(pairs),
        "lr": "made by bicubic downscaling" if made else "given",
        "digest": digest.hexdigest(),
    }


def _digest(path: Path) -> str:
    if path.suffix == ".tflite":
        return sha256_file(path)
    from edgesr.models.checkpoint import weights_file

    return sha256_file(weights_file(path))
