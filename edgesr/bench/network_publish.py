"""What a network's card says beside its quality: how it learned, how fast and how exact it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgesr.bench.environment import environment
from edgesr.bench.results import read_document
from edgesr.bench.zoo_facts import file_speeds
from edgesr.errors import DataError, GateError, UsageError
from edgesr.export.card import add_files, card_markdown
from edgesr.export.certificate import SCHEMA, certify
from edgesr.export.learning_curve import learning_curve
from edgesr.files import sha256_file, write_json, write_text
from edgesr.models.checkpoint import LoadedModel, read_weights
from edgesr.zoo import DEFAULT, ZooEntry


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is said of a network, and what is asked for.

    Attributes:
        log: of its run.
        hardware: that it was trained on; None keeps what the card says.
        results: document of ``edgesr bench`` that has its INT8 file and the shipped NCNet; None
            keeps the times of the card where the file is the same.
        notes: what a user should know about the training; None keeps those of the card.
    """

    log: Path
    hardware: str | None = None
    results: Path | None = None
    notes: str | None = None


def write_card(card: Mapping[str, Any], entry: ZooEntry, told: Told) -> dict[str, Any]:
    """Complete the card of a network whose files lie in their folder, and write it there.

    A certificate with its vectors is written beside the .tflite where there is none of this file.

    Args:
        card: result of ``export.card.build_card``, or one that was published.
        entry: where the files are.
        told: what the files do not say.

    Returns:
        The card.

    Raises:
        CheckpointError: the log of the run is not whole.
        DataError: the results have no time of this file.
        GateError: the .tflite is not what its integer simulation says.
        UsageError: nothing says what it was trained on.
    """
    hardware = told.hardware or card["training"].get("hardware")
    if not hardware:
        raise UsageError(f"{entry.name}: give --hardware, what it was trained on, for its card")
    notes = card["notes"] if told.notes is None else told.notes
    curve = learning_curve(told.log)
    certificate = _certificate(entry.tflite)
    files = {
        "int8": entry.tflite,
        "float": entry.weights,
        "certificate": entry.tflite.with_suffix(".certificate.json"),
        "vectors": entry.tflite.with_suffix(".vectors.npz"),
    }
    before = card.get("files", {}).get(entry.tflite.name, {}).get("sha256")
    made = add_files(card, files)
    is_same = made["files"][entry.tflite.name]["sha256"] == before
    speeds = card.get("cpu_ratio", []) if is_same else []
    if told.results is not None:
        speeds = _speeds(made, entry, told.results)
    made = {
        **made,
        "notes": notes,
        "training": {**card["training"], "hardware": hardware, "curve": curve},
        "certificate": certificate,
        "cpu_ratio": speeds,
    }
    write_json(entry.card, made)
    write_text(entry.card.with_suffix(".md"), card_markdown(made))
    return made


def check_same_weights(loaded: LoadedModel, entry: ZooEntry) -> None:
    """Refuse to complete the card of a network that was published from another run.

    Raises:
        CheckpointError: a published file is missing or damaged.
        DataError: the weights differ.
    """
    entry.intact(entry.tflite)
    published = read_weights(entry.intact(entry.weights))[0]
    own = read_weights(loaded.path)[0]
    if own.keys() != published.keys() or not all(
        torch.equal(value, published[name]) for name, value in own.items()
    ):
        raise DataError(
            f"{loaded.path}: has other weights than {entry.weights.name}; publish it with "
            "--evaluate, or name the run that was published"
        )


def _certificate(tflite: Path) -> dict[str, Any]:
    """Return what the certificate of a file says, by kernel family, and make one if needed."""
    path = tflite.with_suffix(".certificate.json")
    document = read_document(path, {SCHEMA}) if path.is_file() else None
    if document is None or document["model"]["sha256"] != sha256_file(tflite):
        found = certify(tflite, environment=environment())
        document = read_document(found.certificate, {SCHEMA})
    kernels = {
        name: {key: about[key] for key in ("values", "mismatches")}
        for name, about in document["kernels"].items()
    }
    wrong = sum(about["mismatches"] for about in kernels.values())
    if wrong:
        raise GateError(
            f"{tflite}: file and simulation differ in {wrong} values; see {path.name}, and do not "
            "publish it"
        )
    return {"file": path.name, "litert": document["litert"], "kernels": kernels}


def _speeds(card: Mapping[str, Any], entry: ZooEntry, results: Path) -> list[dict[str, Any]]:
    document = read_document(results)
    found = file_speeds(card, [document])
    if not found:
        raise DataError(
            f"{results}: has no time of {entry.tflite.name} beside {DEFAULT} in one run; measure "
            f"with edgesr bench {entry.tflite} {DEFAULT} --output {results}"
        )
    cpu = document["environment"]["cpu"]
    return [{**one, "cpu": cpu} for one in found]
