"""Calibration sets on disk: made part by part, resumed where they stopped, refused when foreign.

A folder holds ``manifest.json``, which says what the set was made from, and one file a batch of
images and timestep with the codes that the network was fed. Parts are written atomically, so a file
that is there is whole.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgesr.diffusion.centre import regression_of
from edgesr.diffusion.path import Path as DiffusionPath
from edgesr.diffusion.trajectories import (
    Kind,
    Samples,
    choose_samples,
    trajectories,
)
from edgesr.errors import DataError
from edgesr.files import atomic_path, write_json
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.stepwise import input_reals

SCHEMA = "edgesr/diffusion-calibration/1"
MANIFEST = "manifest.json"
_PILOT = 4
"""Images that ``tdac`` looks at before it chooses."""


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """What a calibration set is made from; a set with other facts is another set.

    Attributes:
        model_sha256: of the weights file.
        scale: upscaling factor.
        schedule: name of the path that the network was trained on.
        parameters: of that path.
        timesteps: that are sampled, noisiest first.
        kind: how samples were chosen, see ``choose_samples``.
        count: number of pairs of image and step asked for; None is one an image.
        images_sha256: over the pixels of all low-resolution images.
        seed: of the noise and of the choice.
    """

    model_sha256: str
    scale: int
    schedule: str
    parameters: dict[str, Any]
    timesteps: tuple[int, ...]
    kind: Kind
    count: int | None
    images_sha256: str
    seed: int


class StoredBatches(Sequence[CalibrationBatch]):
    """Batches that are read from their files one at a time.

    Args:
        files: files of codes and their timesteps.
    """

    def __init__(self, files: Sequence[tuple[Path, int]]) -> None:
        self._files = list(files)

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._files)

    def __getitem__(self, index: Any) -> Any:
        """Return one batch, or another such sequence for a slice.

        Raises:
            DataError: the file is damaged.
        """
        if isinstance(index, slice):
            return StoredBatches(self._files[index])
        path, timestep = self._files[index]
        try:
            codes = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(
                f"{path}: cannot be read ({error}); delete the file and run again"
            ) from error
        if codes.dtype != np.int8 or codes.ndim != len("nhwc"):
            raise DataError(
                f"{path}: holds {codes.dtype} {codes.shape}, want int8 (n, h, w, c); delete the "
                "file and run again"
            )
        return CalibrationBatch(inputs=input_reals(torch.from_numpy(codes)), timestep=timestep)


def make_set(  # noqa: PLR0913 - what a set is made of
    folder: Path,
    loaded: LoadedDenoiser,
    whole: DiffusionPath,
    path: DiffusionPath,
    batches: Sequence[Tensor],
    *,
    facts: SetFacts,
) -> StoredBatches:
    """Make a calibration set in ``folder``, or what is missing of it, and return it.

    Args:
        folder: for the set; made if it is not there.
        loaded: float denoiser; its centre may be one of integers.
        whole: path that it was trained on.
        path: that is sampled.
        batches: low-resolution images, ``(n, 3, h, w)`` in [-1, 1], those of one size together.
        facts: what the set is made from.

    Raises:
        DataError: the folder holds a set that was made from something else; says from what.
        OutputError: the folder cannot be written.
    """
    _check(folder, facts)
    samples = _choose(loaded, whole, path, batches, facts)
    record = {
        "schema": SCHEMA,
        **_plain(facts),
        "samples": {str(timestep): len(one) for timestep, one in samples.by_timestep.items()},
    }
    write_json(folder / MANIFEST, {**record, "bytes": None})
    parts: list[tuple[Path, int]] = []
    first = 0
    for number, lr in enumerate(batches):
        kept = {
            timestep: [image - first for image in images if first <= image < first + len(lr)]
            for timestep, images in samples.by_timestep.items()
        }
        files = {
            timestep: folder / f"part_{number:03d}_t{timestep:04d}.npy"
            for timestep, chosen in kept.items()
            if chosen
        }
        if not all(file.is_file() for file in files.values()):
            runs = trajectories(
                loaded.module,
                whole,
                path,
                [lr],
                seed=facts.seed + number,
                regression=regression_of(loaded.centre),
            )
            for _, fed in runs:
                if fed.timestep in files:
                    _write(files[fed.timestep], fed.codes[kept[fed.timestep]])
        parts += [(file, timestep) for timestep, file in files.items()]
        first += len(lr)
    write_json(
        folder / MANIFEST, {**record, "bytes": sum(file.stat().st_size for file, _ in parts)}
    )
    return StoredBatches(parts)


def _choose(
    loaded: LoadedDenoiser,
    whole: DiffusionPath,
    path: DiffusionPath,
    batches: Sequence[Tensor],
    facts: SetFacts,
) -> Samples:
    features: list[Tensor] | None = None
    if facts.kind == "tdac":
        pilot = trajectories(
            loaded.module,
            whole,
            path,
            [batches[0][:_PILOT]],
            seed=facts.seed,
            features=True,
            regression=regression_of(loaded.centre),
        )
        features = [fed.middle for _, fed in pilot if fed.middle is not None]
    return choose_samples(
        facts.kind,
        path,
        sum(map(len, batches)),
        count=facts.count,
        features=features,
        seed=facts.seed,
    )


def _check(folder: Path, facts: SetFacts) -> None:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise DataError(
                f"{folder}: holds files but no {MANIFEST}, want an empty folder or a calibration "
                "set; name another one"
            )
        return
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{manifest}: cannot be read ({error}); delete the folder") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise DataError(f"{manifest}: is no record of a calibration set; name another folder")
    for key, wanted in _plain(facts).items():
        if found.get(key) != wanted:
            raise DataError(
                f"{folder}: the calibration set has {key} {_short(found.get(key))}, want "
                f"{_short(wanted)}; name another folder, or delete this one to calibrate again"
            )


def _plain(facts: SetFacts) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(facts)))
    return plain


def _short(value: object) -> str:
    text = json.dumps(value)
    return f"{text[:17]}..." if len(text) > 2 * len("sha256 of a file") + 16 else text


def _write(path: Path, codes: Tensor) -> None:
    with atomic_path(path) as temporary:
        np.save(temporary, codes.numpy(), allow_pickle=False)
