"""``edgesr publish``: from a run folder to files and a card that can be shipped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from edgesr.evaluate import Evaluation


def publish(  # noqa: PLR0913 - one parameter a flag
    run: Path,
    /,
    *,
    name: str,
    to: Path,
    evaluate: Annotated[list[str], Parameter(negative="")],
    calibration: Path | None = None,
    data: Path | None = None,
    notes: str = "",
) -> None:
    """Export a run to INT8, measure float and INT8 on benchmark sets, write weights and a card.

    Args:
        run: run folder.
        name: of the published network, such as ncnet_x3.
        to: folder for NAME_int8.tflite, NAME.safetensors, NAME.json and NAME.md.
        evaluate: SET=FOLDER or SET=FOLDER,LR_FOLDER, may be repeated.
        calibration: folder of training images that set the ranges; default are those of the run.
        data: folder of images to verify with; default are those that the run held out.
        notes: what a user should know about the training.
    """
    import shutil

    from edgesr.bench.environment import environment
    from edgesr.cli.console import out, say
    from edgesr.export.card import add_files, build_card, card_markdown
    from edgesr.export.pipeline import ExportRequest, export_model
    from edgesr.export.report import report
    from edgesr.files import atomic_path, write_json, write_text
    from edgesr.models.checkpoint import load_model

    sets = [_parse(text) for text in evaluate]
    loaded = load_model(run)
    tflite, weights = to / f"{name}_int8.tflite", to / f"{name}.safetensors"
    exported = export_model(
        loaded,
        ExportRequest(output=tflite, io="uint8", calibration=calibration, held_out=data),
    )
    tflite.with_suffix(".json").unlink()  # the card says it all
    say(f"exported {tflite}")
    with atomic_path(weights) as temporary:
        shutil.copyfile(loaded.path, temporary)
    card = build_card(
        name,
        run=run,
        report=report(exported),
        evaluations=_measure(tflite, sets),
        float_evaluations=_measure(weights, sets),
        environment=environment(),
        notes=notes,
    )
    card = add_files(card, {"int8": tflite, "float": weights})
    write_json(to / f"{name}.json", card)
    write_text(to / f"{name}.md", card_markdown(card))
    out.print(card_markdown(card), markup=False, soft_wrap=True)


def _parse(text: str) -> tuple[str, Path, Path | None]:
    name, equals, folders = text.partition("=")
    high, _, low = folders.partition(",")
    if not (name and equals and high):
        raise UsageError(f"--evaluate {text!r}: want SET=FOLDER or SET=FOLDER,LR_FOLDER")
    return name, Path(high), Path(low) if low else None


def _measure(source: Path, sets: list[tuple[str, Path, Path | None]]) -> "dict[str, Evaluation]":
    from edgesr.data.layouts import find_dataset
    from edgesr.evaluate import evaluate
    from edgesr.upscalers import load_upscaler

    upscaler = load_upscaler(source)
    return {
        name: evaluate(upscaler, find_dataset(high, upscaler.scale, lr_root=low))
        for name, high, low in sets
    }
