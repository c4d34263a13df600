"""What ``edgesr quantize DENOISER`` works on: the denoiser, images, calibration sets."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edgesr.bench.step_methods import Method
    from edgesr.bench.step_quantization import Trajectories
    from edgesr.diffusion.integer_steps import QuantizedDenoiser
    from edgesr.diffusion.path import Path as DiffusionPath
    from edgesr.models.denoiser_files import LoadedDenoiser
    from edgesr.quant.calibrate import CalibrationBatch
    from edgesr.quant.scheme import QuantizedGraph

_IMAGES = 8
"""Calibration photographs of a comparison, two crops of 64 pixels each: it quantizes often."""
_CROP = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A denoiser with what it is calibrated, trained and measured on.

    Attributes:
        loaded: float denoiser.
        centre: the network of its centre in integers; None where that is bicubic.
        paths: that it was trained on, and that is sampled.
        lrs: calibration crops, ``(n, 3, h, w)`` in [-1, 1].
        sets: images to measure on.
        network: facts that results name, as JSON values.
    """

    loaded: "LoadedDenoiser"
    centre: "QuantizedGraph | None"
    paths: "tuple[DiffusionPath, DiffusionPath]"
    lrs: "Sequence[Tensor]"
    sets: "Sequence[Trajectories]"
    network: dict[str, Any]

    @property
    def seed(self) -> int:
        """Seed of all noise."""
        seed: int = self.network["seed"]
        return seed

    @property
    def images(self) -> str:
        """Digest of the images that the integers come from, those of the centre among them."""
        digest: str = self.network["digest"]
        if "centre_digest" not in self.network:
            return digest
        both = f"{digest} {self.network['centre_digest']}"
        return hashlib.sha256(both.encode()).hexdigest()

    @property
    def deployed(self) -> "LoadedDenoiser":
        """The float denoiser with the centre that it has on the phone."""
        from edgesr.diffusion.centre import with_integer_centre

        return with_integer_centre(self.loaded, self.centre)


class Wanted(Protocol):
    """What ``open_case`` reads of what a command line asks."""

    @property
    def data(self) -> list[Path]:
        """Folders of images to measure on; empty for those that the run held out."""

    @property
    def limit(self) -> int | None:
        """Images of every folder; None for all."""

    @property
    def calibration(self) -> Path | None:
        """Folder of training images; None for those of the run."""

    @property
    def seed(self) -> int:
        """Of crops and noise."""


def open_case(weights: Path, asked: Wanted) -> Case:
    """Load the denoiser in ``weights``, cut calibration crops, sample what it is measured by.

    Raises:
        CheckpointError: the file holds no float denoiser.
        DatasetError: images are missing.
    """
    from edgesr.bench.step_quantization import read_trajectories, sampled_by
    from edgesr.cli.console import say
    from edgesr.data.layouts import find_dataset
    from edgesr.diffusion.centre import quantize_centre
    from edgesr.diffusion.ranges import from_grey_levels
    from edgesr.export.calibration import calibration_set, choose_images
    from edgesr.files import sha256_file
    from edgesr.models.denoiser_files import load_denoiser
    from edgesr.upscalers.diffusion import path_of, sampling_path

    loaded = load_denoiser(weights)
    whole, path = path_of(loaded.schedule, loaded.path), sampling_path(loaded, None)
    choice = choose_images(
        loaded.path,
        loaded.scale,
        calibration=asked.calibration,
        held_out=asked.data[0] if asked.data else None,
    )
    photographs = choice.calibration[:: max(1, len(choice.calibration) // _IMAGES)][:_IMAGES]
    crops = calibration_set(photographs, loaded.scale, seed=asked.seed)
    lrs = [
        from_grey_levels(batch.inputs.permute(0, 3, 1, 2))
        for batch in crops.batches
        if max(batch.inputs.shape[1:3]) <= _CROP
    ]
    count = sum(map(len, lrs))
    say(f"calibrating on {count} crops of {len(crops.images)} images ({choice.source})")
    sample = sampled_by(loaded.module, whole, path, seed=asked.seed, centre=loaded.centre)
    listed = {folder.name: find_dataset(folder, loaded.scale).pairs for folder in asked.data}
    sets = [
        read_trajectories(pairs, name, loaded.scale, sample=sample, limit=asked.limit)
        for name, pairs in (listed or {"held-out": choice.held_out}).items()
    ]
    network = {
        "model": loaded.descriptor.name,
        "scale": loaded.scale,
        "sha256": sha256_file(loaded.path),
        "schedule": loaded.schedule.name,
        "parameters": dict(loaded.schedule.parameters),
        "timesteps": [int(one) for one in path.timesteps[:0:-1]],
        "calibration": f"{count} crops of {len(crops.images)} images",
        "digest": crops.digest,
        "seed": asked.seed,
    }
    centre = None
    if loaded.centre is not None:
        network["centre"] = loaded.centre.descriptor.name
        say(f"quantizing the centre, a {loaded.centre.descriptor.name}, to W8A8")
        centre_crops = calibration_set(choice.calibration, loaded.scale, seed=asked.seed)
        network["centre_digest"] = centre_crops.digest
        centre = quantize_centre(loaded.centre, centre_crops.batches)
    return Case(
        loaded=loaded, centre=centre, paths=(whole, path), lrs=lrs, sets=sets, network=network
    )


def empty_document(case: Case) -> dict[str, Any]:
    """Return a results file without rows, the float network and rounded inputs measured."""
    from edgesr.bench.environment import environment
    from edgesr.bench.step_quantization import RoundedInputs, document, figures, sampled_by

    found = document([], network=case.network, sets=case.sets, environment=environment())
    network = RoundedInputs(case.loaded.module)
    rounded = sampled_by(network, *case.paths, seed=case.seed, centre=case.loaded.centre)
    for images in case.sets:
        found["sets"][images.name]["rounded"] = figures(images, rounded)
    found["disturbances"] = []
    return found


class CalibrationSets:
    """Calibration sets by kind, made when they are asked for.

    Args:
        folder: that keeps them.
        case: what they are made from.
    """

    def __init__(self, folder: Path, case: Case) -> None:
        self.folder, self.case = folder, case

    def of(self, method: "Method") -> "Sequence[CalibrationBatch]":
        """Return the set that a method calibrates with."""
        from edgesr.diffusion.calibration_files import SetFacts, make_set

        case, network = self.case, self.case.network
        facts = SetFacts(
            model_sha256=network["sha256"],
            scale=network["scale"],
            schedule=network["schedule"],
            parameters=network["parameters"],
            timesteps=tuple(network["timesteps"]),
            kind=method.kind,
            count=None,
            images_sha256=case.images,
            seed=network["seed"],
        )
        return make_set(
            self.folder / method.kind, case.deployed, *case.paths, case.lrs, facts=facts
        )


def quantized_by(
    name: str, method: "Method", source: CalibrationSets, case: Case, state: Path
) -> "tuple[QuantizedDenoiser, float]":
    """Quantize by a method, train where it says so, and return the seconds that it took."""
    from edgesr.cli.console import say
    from edgesr.diffusion.integer_steps import quantize_denoiser
    from edgesr.diffusion.step_distillation import Course, Distillation, distil
    from edgesr.diffusion.two_pass import two_pass
    from edgesr.quant.step_qat import StepRates

    path = case.paths[1]
    groups = {"one": 1, "each": path.num_steps, "chosen": None}[method.grids]
    say(f"quantizing: {name}")
    batches = source.of(method)
    course = Course(
        loaded=case.deployed,
        whole=case.paths[0],
        path=path,
        lrs=case.lrs,
        identity=f"{case.network['sha256']} {case.images} {method.recipe}",
    )

    def listen(step: int, loss: float) -> None:
        say(f"step {step}: loss {loss:.3f} squared output steps")

    start = time.perf_counter()
    if method.learned == "two_pass":
        settings = Distillation(steps=method.trained, seed=case.seed)
        denoiser = two_pass(
            course, batches, method.recipe, settings, groups=groups, state=state, listen=listen
        )
        return _with_centre(denoiser, case), time.perf_counter() - start
    denoiser = quantize_denoiser(case.loaded, path, batches, method.recipe, groups=groups)
    if method.trained:
        settings = Distillation(
            steps=method.trained,
            rank=method.rank,
            rates=StepRates().hastened(method.haste),
            seed=case.seed,
        )
        denoiser = distil(denoiser, course, settings, state=state, listen=listen)
    return _with_centre(denoiser, case), time.perf_counter() - start


def _with_centre(denoiser: "QuantizedDenoiser", case: Case) -> "QuantizedDenoiser":
    return replace(denoiser, model=replace(denoiser.model, centre=case.centre))
