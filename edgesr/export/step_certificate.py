"""The parity certificate of a file of steps; its inputs are made again wherever it is replayed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr import __version__
from edgesr.errors import CheckpointError, DataError, GateError
from edgesr.export.certificate import Replay
from edgesr.export.op_check import FAMILIES
from edgesr.export.parity import Picture
from edgesr.export.read import read_signatures
from edgesr.export.step_parity import (
    Codes,
    StepsParity,
    compare_steps,
    inputs_of,
    made_image,
    made_inputs,
    run_inputs,
    trajectory,
)
from edgesr.files import sha256_file, write_json
from edgesr.litert import Kernels, open_signatures, version
from edgesr.upscalers.step_schedule import StepSchedule, read_schedule
from edgesr.upscalers.stepwise import check_fits

SCHEMA = "edgesr/step_certificate/1"


@dataclass(frozen=True, kw_only=True)
class CertifiedSteps:
    """What ``certify_steps`` found and wrote.

    Attributes:
        certificate: the JSON file.
        parity: file against simulation, by family.
    """

    certificate: Path
    parity: StepsParity


def certify_steps(
    model: Path,
    *,
    environment: Mapping[str, Any],
    pictures: Sequence[Picture] | None = None,
    families: Sequence[Kernels] = FAMILIES,
) -> CertifiedSteps:
    """Compare a file of steps with its simulation and write the certificate beside it.

    Args:
        model: the .tflite file.
        environment: processor, flags and versions of this machine.
        pictures: low-resolution pictures to walk trajectories on; None makes one.
        families: kernel families.

    Raises:
        CheckpointError: the file is damaged, has no schedule or not all of its signatures, or
            cannot be simulated.
        DataError: a picture has not three channels, or not the file's only size.
        MissingDependencyError: LiteRT or a family is missing.
        OutputError: the certificate cannot be written.
    """
    schedule = _schedule(model)
    content = model.read_bytes()
    read = read_signatures(content)
    check_fits(open_signatures(content), schedule)
    images = None if pictures is None else [_image(one, read.shape) for one in pictures]
    parity = compare_steps(content, read, schedule, families=families, images=images)
    replayed = parity
    if images is not None:
        replayed = compare_steps(content, read, schedule, families=families)
    certificate = model.with_suffix(".certificate.json")
    document = {
        "schema": SCHEMA,
        "edgesr": __version__,
        "litert": version(),
        "model": {
            "file": model.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "shape": None if read.shape is None else list(read.shape),
            "metadata": dict(read.metadata),
        },
        "environment": dict(environment),
        "signatures": [asdict(one) for one in parity.signatures],
        "trajectories": [asdict(one) for one in parity.trajectories],
        "replay": {
            "input_sha256": _digest(made_inputs(schedule, read.shape), made_image(read.shape)),
            "signatures": [
                [one.kernels, one.signature, one.output_sha256] for one in replayed.signatures
            ],
            "trajectories": [
                [one.kernels, one.sampler, one.output_sha256] for one in replayed.trajectories
            ],
        },
    }
    write_json(certificate, document)
    return CertifiedSteps(certificate=certificate, parity=parity)


def is_step_certificate(certificate: Path) -> bool:
    """Tell whether a JSON file is a certificate of steps; what cannot be read is none."""
    try:
        document = json.loads(certificate.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # the other kind's reader says what is wrong with it
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def replay_steps(
    certificate: Path, *, model: Path | None = None, families: Sequence[Kernels] | None = None
) -> Replay:
    """Run what a certificate of steps promises again, on this machine.

    Args:
        certificate: written by ``certify_steps``.
        model: the file; None takes the one beside the certificate.
        families: kernel families; None takes those of the certificate.

    Raises:
        GateError: the file was changed, or an output differs.
        DataError: certificate or file is missing or damaged, or says nothing about a family.
        MissingDependencyError: LiteRT or a family is missing.
    """
    promise = _promise(certificate)
    path = model or certificate.with_name(promise.file)
    if not path.is_file():
        raise DataError(f"{path}: no such file; it belongs to {certificate.name}")
    if sha256_file(path) != promise.sha256:
        raise GateError(
            f"{path}: was changed or is another file than {certificate.name} is about; run edgesr "
            "verify on the file for a certificate of its own"
        )
    known = tuple(
        one for one in FAMILIES if any(one == kernels for kernels, _ in promise.signatures)
    )
    chosen: tuple[Kernels, ...] = tuple(families or known)
    if not set(chosen) <= set(known):
        missing = ", ".join(one for one in chosen if one not in known)
        raise DataError(f"{certificate}: nothing about kernels {missing}")
    schedule, content = _schedule(path), path.read_bytes()
    shape = read_signatures(content).shape
    inputs, image = made_inputs(schedule, shape), made_image(shape)
    if _digest(inputs, image) != promise.input_sha256:
        raise DataError(
            f"{certificate}: this version makes other inputs than edgesr {promise.edgesr}; "
            "run edgesr verify on the file again"
        )
    values = 0
    for kernels in chosen:
        run = open_signatures(content, kernels=kernels).run
        for (family, signature), digest in promise.signatures.items():
            if family == kernels:
                given = inputs_of(signature, schedule, inputs)
                count, found = run_inputs(signature, given, run)
                _same(digest, found, path, certificate, f"{kernels} kernels, signature {signature}")
                values += count
        for (family, sampler), digest in promise.trajectories.items():
            if family == kernels:
                sr, _ = trajectory(image, schedule, run, sampler=sampler)
                found = hashlib.sha256(sr.tobytes()).hexdigest()
                _same(digest, found, path, certificate, f"{kernels} kernels, {sampler} trajectory")
                values += sr.size
    return Replay(
        model=path, kernels=chosen, vectors=len(inputs) + 1, values=values, litert=promise.litert
    )


@dataclass(frozen=True, kw_only=True)
class _Promise:
    """What a certificate says: digests of outputs by kernel family and signature or sampler."""

    file: str
    sha256: str
    edgesr: str
    litert: str
    input_sha256: str
    signatures: Mapping[tuple[str, str], str]
    trajectories: Mapping[tuple[str, str], str]


def _promise(certificate: Path) -> _Promise:
    try:
        document = json.loads(certificate.read_text(encoding="utf-8"))
        model, replayed = document["model"], document["replay"]
        return _Promise(
            file=model["file"],
            sha256=model["sha256"],
            edgesr=document["edgesr"],
            litert=document["litert"],
            input_sha256=replayed["input_sha256"],
            signatures={(k, what): digest for k, what, digest in replayed["signatures"]},
            trajectories={(k, what): digest for k, what, digest in replayed["trajectories"]},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{certificate}: no certificate of edgesr verify ({error})") from error


def _schedule(model: Path) -> StepSchedule:
    schedule = read_schedule(model)
    if schedule is None:
        raise CheckpointError(f"{model}: has no schedule of steps; export it again")
    return schedule


def _image(picture: Picture, shape: tuple[int, int] | None) -> NDArray[np.uint8]:
    size = picture.pixels.shape
    if size[2] != 3 or (shape is not None and size[:2] != shape):  # noqa: PLR2004 - RGB
        wanted = "any size" if shape is None else f"{shape[0]} high and {shape[1]} wide"
        raise DataError(f"{picture.name}: image has shape {size}, want RGB of {wanted}")
    return picture.pixels


def _digest(inputs: Sequence[Codes], image: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(image.tobytes())
    for one in inputs:
        for name, codes in one.items():
            digest.update(name.encode() + codes.tobytes())
    return digest.hexdigest()


def _same(wanted: str, found: str, model: Path, certificate: Path, what: str) -> None:
    if wanted != found:
        raise GateError(
            f"{model}: {what}: other outputs than {certificate.name} promises; here is {version()}"
        )
