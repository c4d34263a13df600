"""The parity certificate of a file: proof of exactness that another machine can repeat."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesr import __version__
from edgesr.errors import DataError, GateError
from edgesr.export.op_check import FAMILIES
from edgesr.export.parity import (
    FamilyResult,
    Picture,
    compare_family,
    made_pictures,
    run_file,
)
from edgesr.export.read import ReadModel, read_model
from edgesr.files import sha256_file, write_bytes, write_json
from edgesr.litert import Kernels, version

SCHEMA = "edgesr/certificate/1"
VECTORS_SCHEMA = "edgesr/vectors/2"
_VECTOR_SIDES = ((20, 28), (23, 17))
_KEPT = 96
"""Expected outputs are stored up to this many rows and columns; the rest is in their SHA-256."""


@dataclass(frozen=True, kw_only=True)
class Certified:
    """What ``certify`` found and wrote.

    Attributes:
        certificate: the JSON file.
        vectors: the vector pack.
        results: file against simulation by family.
    """

    certificate: Path
    vectors: Path
    results: tuple[FamilyResult, ...]

    @property
    def mismatches(self) -> int:
        """Values in which file and simulation differ, over all families."""
        return sum(one.mismatches for one in self.results)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What replaying a certificate gave.

    Attributes:
        model: the file that was run.
        kernels: families that were run.
        vectors: number of inputs.
        values: output values compared.
        litert: version that the certificate was made with.
    """

    model: Path
    kernels: tuple[str, ...]
    vectors: int
    values: int
    litert: str


def certify(
    model: Path,
    *,
    environment: Mapping[str, Any],
    pictures: Sequence[Picture] | None = None,
    families: Sequence[Kernels] = FAMILIES,
) -> Certified:
    """Compare a file with its simulation and write certificate and vector pack beside it.

    Args:
        model: the .tflite file.
        environment: processor, flags and versions of this machine.
        pictures: what to compare on; None makes some.
        families: kernel families.

    Raises:
        CheckpointError: the file is damaged or cannot be simulated.
        MissingDependencyError: LiteRT or a family is missing.
        OutputError: a file cannot be written.
    """
    read = read_model(model)
    content = model.read_bytes()
    channels = read.quantized.graph.inputs[0].channels
    chosen = list(made_pictures(channels) if pictures is None else pictures)
    if pictures is None and read.shape is not None:
        chosen = chosen[:1]  # all would be repeated to the same large size
    results = tuple(compare_family(content, read, chosen, kernels=one) for one in families)
    pack, hashes = _vectors(content, read, families)
    vectors = model.with_suffix(".vectors.npz")
    write_bytes(vectors, pack)
    certificate = model.with_suffix(".certificate.json")
    document = {
        "schema": SCHEMA,
        "edgesr": __version__,
        "litert": version(),
        "model": {
            "file": model.name,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "io": read.io,
            "shape": None if read.shape is None else list(read.shape),
            "metadata": dict(read.metadata),
        },
        "environment": dict(environment),
        "inputs": [
            {
                "name": one.name,
                "shape": list(one.pixels.shape),
                "sha256": hashlib.sha256(one.pixels.tobytes()).hexdigest(),
            }
            for one in chosen
        ],
        "kernels": {one.kernels: _facts(one) for one in results},
        "vectors": {
            "file": vectors.name,
            "bytes": len(pack),
            "sha256": hashlib.sha256(pack).hexdigest(),
            "count": len(_VECTOR_SIDES),
            "output_sha256": hashes,
        },
    }
    write_json(certificate, document)
    return Certified(certificate=certificate, vectors=vectors, results=results)


def replay(
    certificate: Path, *, model: Path | None = None, families: Sequence[Kernels] | None = None
) -> Replay:
    """Run the vectors of a certificate again and compare with what it promises.

    Args:
        certificate: written by ``certify``; the vector pack lies beside it.
        model: the file; None takes the one beside the certificate.
        families: kernel families; None takes those of the certificate.

    Raises:
        GateError: the file or the pack was changed, or an output differs.
        DataError: certificate, pack or file is missing or damaged.
        MissingDependencyError: LiteRT or a family is missing.
    """
    document = _read(certificate)
    promised, pack_facts = document["model"], document["vectors"]
    path = model or certificate.with_name(promised["file"])
    _same(path, promised["sha256"], certificate, "was changed or is another file")
    pack_path = certificate.with_name(pack_facts["file"])
    _same(pack_path, pack_facts["sha256"], certificate, "was changed")
    hashes = pack_facts["output_sha256"]
    chosen = list(families or hashes)
    unknown = [one for one in chosen if one not in hashes]
    if unknown:
        raise DataError(f"{certificate}: nothing about kernels {', '.join(unknown)}")
    read, content = read_model(path), path.read_bytes()
    pack = _unpacked(pack_path)
    pictures = _pictures(pack, pack_facts["count"])
    values = 0
    for kernels in chosen:
        outputs = list(run_file(content, read, pictures, kernels=kernels))
        for index, found in enumerate(outputs):
            wanted = _unpack_output(pack, kernels, index)
            kept = found[:_KEPT, :_KEPT]
            differing = int(np.count_nonzero(kept != wanted)) if kept.shape == wanted.shape else -1
            digest = hashlib.sha256(found.tobytes()).hexdigest()
            if differing or digest != hashes[kernels][index]:
                count = "other sizes" if differing < 0 else f"{differing} of {wanted.size} values"
                raise GateError(
                    f"{path}: {kernels} kernels give other outputs than {certificate.name} "
                    f"promises ({count} in vector {index}); made with {document['litert']}, "
                    f"here is {version()}"
                )
            values += found.size
    return Replay(
        model=path,
        kernels=tuple(chosen),
        vectors=len(pictures),
        values=values,
        litert=document["litert"],
    )


def _vectors(
    content: bytes, read: ReadModel, families: Sequence[Kernels]
) -> tuple[bytes, dict[str, list[str]]]:
    """Return the vector pack and the SHA-256 of every whole output by family."""
    channels = read.quantized.graph.inputs[0].channels
    pictures = [
        Picture(name=one.name, pixels=np.ascontiguousarray(one.pixels[:height, :width]))
        for one, (height, width) in zip(
            made_pictures(channels, seed=1), _VECTOR_SIDES, strict=False
        )
    ]
    arrays: dict[str, NDArray[Any]] = {"schema": np.array(VECTORS_SCHEMA)}
    arrays |= {f"input_{index}": one.pixels for index, one in enumerate(pictures)}
    hashes: dict[str, list[str]] = {}
    for kernels in families:
        hashes[kernels] = []
        for index, output in enumerate(run_file(content, read, pictures, kernels=kernels)):
            kept = output[:_KEPT, :_KEPT]
            first = arrays.setdefault(f"output_{index}", kept)
            arrays[f"{kernels}_{index}"] = kept - first  # modulo 256; zeros compress well
            hashes[kernels].append(hashlib.sha256(output.tobytes()).hexdigest())
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue(), hashes


def _unpack_output(pack: Mapping[str, NDArray[Any]], kernels: str, index: int) -> NDArray[Any]:
    """Return an output of a family; packs of version 1 hold it whole."""
    stored = pack[f"{kernels}_{index}"]
    first = pack.get(f"output_{index}")
    return stored if first is None else first + stored


def _facts(result: FamilyResult) -> dict[str, Any]:
    facts = asdict(result)
    del facts["kernels"]
    return facts


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise DataError(f"{path}: schema is {document['schema']}, want {SCHEMA}")
        for section, key in (
            ("model", "file"),
            ("model", "sha256"),
            ("vectors", "file"),
            ("vectors", "sha256"),
            ("vectors", "count"),
            ("vectors", "output_sha256"),
        ):
            document[section][key]
        document["litert"]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: no certificate of edgesr verify ({error})") from error
    certificate: dict[str, Any] = document
    return certificate


def _same(path: Path, wanted: str, certificate: Path, what: str) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; it belongs to {certificate.name}")
    found = sha256_file(path)
    if found != wanted:
        raise GateError(
            f"{path}: {what}: SHA-256 is {found[:16]}…, {certificate.name} says {wanted[:16]}…; "
            "run edgesr verify on the file for a certificate of its own"
        )


def _unpacked(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as pack:
            return {name: pack[name] for name in pack.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({error}); copy it again") from error


def _pictures(pack: Mapping[str, NDArray[Any]], count: int) -> list[Picture]:
    return [Picture(name=f"input_{n}", pixels=pack[f"input_{n}"]) for n in range(count)]
