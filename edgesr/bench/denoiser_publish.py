"""Make the weights of a denoiser ready to ship: a file without folder names, and its card."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesr.bench.denoiser_card import SCHEMA, build_denoiser_card, denoiser_card_markdown
from edgesr.bench.diffusion import RUN_SHA256
from edgesr.errors import DataError, UsageError
from edgesr.export.card import add_files, public_config
from edgesr.export.learning_curve import learning_curve
from edgesr.files import sha256_file, write_json, write_text
from edgesr.models.checkpoint import read_weights, save_weights
from edgesr.models.denoiser_files import LoadedDenoiser, load_denoiser


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What is published, and what is said of it.

    Attributes:
        run: run folder, or a weights file in one.
        log: name of the log in a run folder.
        name: of the published denoiser.
        to: folder for NAME.safetensors, NAME.json and NAME.md.
        results: document of ``edgesr diffusion`` that has the rows of these weights.
        photographs: what it was trained on, and their licence.
        hardware: that it was trained on.
        notes: what a user should know about it.
        teacher: name of the network that a student learned from, published in ``to``.
    """

    run: Path
    log: str
    name: str
    to: Path
    results: Mapping[str, Any]
    photographs: str
    hardware: str
    notes: str = ""
    teacher: str | None = None


def publish_denoiser(asked: Publication) -> dict[str, Any]:
    """Write weights and card, name a student in its teacher's card, and return the card.

    Raises:
        CheckpointError: the run is not whole, or is no denoiser's.
        DataError: the results have no row of these weights, or the teacher is another one.
        UsageError: a student without its teacher, or a teacher of what is no student.
    """
    loaded = load_denoiser(asked.run)
    folder = loaded.path.parent
    digest = loaded.metadata.get(RUN_SHA256, sha256_file(loaded.path))
    teacher = _teacher(asked, loaded)
    results = _own_results(asked, digest, teacher)
    config, curve = public_config(folder), learning_curve(folder / asked.log)
    weights = asked.to / f"{asked.name}.safetensors"
    before = _card(asked.to, asked.name) if (asked.to / f"{asked.name}.json").is_file() else {}
    state, metadata = read_weights(loaded.path)
    save_weights(
        weights,
        state,
        model=loaded.descriptor.name,
        scale=loaded.scale,
        metadata={**metadata, "data": asked.photographs, RUN_SHA256: digest},
    )
    card = build_denoiser_card(
        asked.name,
        loaded=loaded,
        config=config,
        curve=curve,
        results=results,
        run_sha256=digest,
        photographs=asked.photographs,
        hardware=asked.hardware,
        notes=asked.notes,
        teacher=asked.teacher,
        one_step=before.get("one_step") if before.get("run_sha256") == digest else None,
    )
    card = add_files(card, {"float": weights})
    _write(asked.to, card)
    if teacher is not None:
        _write(asked.to, {**teacher, "one_step": asked.name})
    return card


def _teacher(asked: Publication, loaded: LoadedDenoiser) -> dict[str, Any] | None:
    if asked.teacher is None:
        if loaded.schedule.is_distilled:
            raise UsageError(
                f"{loaded.path}: is a student; publish its teacher first and name it with --teacher"
            )
        return None
    wanted = loaded.metadata.get("teacher_sha256")
    if wanted is None:
        raise UsageError(f"{loaded.path}: learned from no teacher; drop --teacher")
    card = _card(asked.to, asked.teacher)
    if card["run_sha256"] != wanted:
        raise DataError(
            f"{asked.teacher}: was published from weights {card['run_sha256'][:12]}, but "
            f"{loaded.path} learned from {wanted[:12]}; publish its own teacher"
        )
    return card


def _own_results(
    asked: Publication, digest: str, teacher: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the results of these weights, of the teacher and of what is no denoiser."""
    names = {digest: asked.name}
    if teacher is not None:
        names[teacher["run_sha256"]] = str(asked.teacher)
    rows = [
        {**row, "name": names.get(row["sha256"], row["name"])}
        for row in asked.results["rows"]
        if row["steps"] is None or row["sha256"] in names
    ]
    if not any(row["sha256"] == digest and row["is_usual"] for row in rows):
        raise DataError(
            f"{asked.run}: the results have no row of its weights (sha256 {digest[:12]}) at the "
            "steps that it takes; measure it with edgesr diffusion"
        )
    return {**asked.results, "rows": rows}


def _card(folder: Path, name: str) -> dict[str, Any]:
    path = folder / f"{name}.json"
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no readable card ({error}); publish {name} first") from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise DataError(f"{path}: is no card of a denoiser, want {SCHEMA}; choose another --name")
    return card


def _write(folder: Path, card: Mapping[str, Any]) -> None:
    write_json(folder / f"{card['name']}.json", card)
    write_text(folder / f"{card['name']}.md", denoiser_card_markdown(card))
