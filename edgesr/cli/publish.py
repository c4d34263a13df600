"""``edgesr publish``: from a run folder to files and a card that can be shipped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from edgesr.evaluate import Evaluation
    from edgesr.zoo import ZooEntry


def publish(  # noqa: PLR0913 - one parameter a flag
    run: Path,
    /,
    *,
    name: str,
    to: Path,
    evaluate: Annotated[list[str] | None, Parameter(negative="")] = None,
    calibration: Path | None = None,
    data: Path | None = None,
    results: Path | None = None,
    photographs: str | None = None,
    hardware: str | None = None,
    teacher: str | None = None,
    notes: str | None = None,
    index: Path | None = None,
) -> None:
    """Export a run to INT8, measure float and INT8 on benchmark sets, write weights and a card.

    The .tflite gets a certificate. Its time goes into the card by a second call, which names a
    result of `edgesr bench` and leaves --evaluate out: that completes the card and measures
    nothing. A diffusion denoiser ships as float weights; its card takes what `edgesr diffusion`
    measured.

    Args:
        run: run folder; of a denoiser also a weights file in it, such as last.safetensors.
        name: of the published network, such as ncnet_x3.
        to: folder for NAME_int8.tflite, NAME.safetensors, NAME.json and NAME.md.
        evaluate: SET=FOLDER or SET=FOLDER,LR_FOLDER, may be repeated. Not of a denoiser. Without
            it the card of a published network is completed.
        calibration: folder of training images that set the ranges; default are those of the run.
            Not of a denoiser.
        data: folder of images to verify with; default are those that the run held out. Not of a
            denoiser.
        results: of a denoiser: file of `edgesr diffusion` that has it; of a network: file of
            `edgesr bench` that has its .tflite and ncnet_x3.
        photographs: what it was trained on, with their licence; it takes the place of the folder
            that the run names.
        hardware: what it was trained on.
        teacher: of a one-step student: its teacher, published in the same folder; that one's card
            then names the student.
        notes: what a user should know about the training.
        index: release index (JSON) to enter the network into, for `edgesr models pull`; the folder
            of the files lies in its own or below.
    """
    from edgesr.models.checkpoint import is_denoiser

    if is_denoiser(run):
        _refuse(run, "is a denoiser", evaluate=evaluate, calibration=calibration, data=data)
        if results is None or not hardware or not photographs:
            raise UsageError(
                f"{run}: is a denoiser; give --results, --photographs and --hardware for its card"
            )
        _publish_denoiser(
            run=run,
            name=name,
            to=to,
            results=results,
            photographs=photographs,
            hardware=hardware,
            teacher=teacher,
            notes=notes or "",
        )
        _enter(index, name, to)
        return
    _refuse(run, "is no denoiser", teacher=teacher)
    if evaluate:
        if not photographs or not hardware:
            raise UsageError(f"{run}: give --photographs and --hardware for its card")
        card = _new_card(run, name, to, evaluate, calibration, data, photographs, notes or "")
    else:
        what = "nothing to measure on without --evaluate SET=FOLDER"
        _refuse(run, what, calibration=calibration, data=data, photographs=photographs)
        card = _old_card(run, name, to)
    _write_card(run, card, name, to, hardware=hardware, results=results, notes=notes)
    _enter(index, name, to)


def _new_card(  # noqa: PLR0913, PLR0917 - the flags of the command
    run: Path,
    name: str,
    to: Path,
    evaluate: list[str],
    calibration: Path | None,
    data: Path | None,
    photographs: str,
    notes: str,
) -> dict[str, Any]:
    from edgesr.bench.environment import environment
    from edgesr.cli.console import say
    from edgesr.export.card import build_card
    from edgesr.export.learning_curve import learning_curve
    from edgesr.export.pipeline import ExportRequest, export_model
    from edgesr.export.report import report
    from edgesr.models.checkpoint import load_model, read_weights, save_weights
    from edgesr.train.runlog import LOG_FILE

    sets = [_parse(text) for text in evaluate]
    learning_curve(run / LOG_FILE)  # the card wants it, and measuring takes long
    loaded = load_model(run)
    entry = _entry(name, loaded.descriptor.name, loaded.scale, to)
    tflite, weights = entry.tflite, entry.weights
    exported = export_model(
        loaded,
        ExportRequest(output=tflite, io="uint8", calibration=calibration, held_out=data),
    )
    tflite.with_suffix(".json").unlink()  # the card says it all
    say(f"exported {tflite}")
    state, metadata = read_weights(loaded.path)
    metadata = {**metadata, "data": photographs}
    save_weights(
        weights, state, model=loaded.descriptor.name, scale=loaded.scale, metadata=metadata
    )
    found = report(exported)
    found["checkpoint"]["metadata"]["data"] = photographs
    return build_card(
        name,
        run=run,
        report=found,
        evaluations=_measure(tflite, sets),
        float_evaluations=_measure(weights, sets),
        environment=environment(),
        notes=notes,
    )


def _old_card(run: Path, name: str, to: Path) -> dict[str, Any]:
    from edgesr.bench.network_publish import check_same_weights
    from edgesr.models.checkpoint import load_model

    loaded = load_model(run)
    entry = _entry(name, loaded.descriptor.name, loaded.scale, to)
    if not entry.card.is_file():
        raise UsageError(
            f"{run}: nothing to measure on and no {entry.card} to complete; give --evaluate "
            "SET=FOLDER"
        )
    check_same_weights(loaded, entry)
    return entry.read_card()


def _write_card(run: Path, card: dict[str, Any], name: str, to: Path, **told: Any) -> None:
    from edgesr.bench.network_publish import Told, write_card
    from edgesr.cli.console import out
    from edgesr.export.card import card_markdown
    from edgesr.train.runlog import LOG_FILE

    entry = _entry(name, card["model"], card["scale"], to)
    made = write_card(card, entry, Told(log=run / LOG_FILE, **told))
    out.print(card_markdown(made), markup=False, soft_wrap=True)
    _say_if_unknown(name)


def _publish_denoiser(*, results: Path, to: Path, name: str, **said: Any) -> None:
    from edgesr.bench.denoiser_card import denoiser_card_markdown
    from edgesr.bench.denoiser_publish import Publication, publish_denoiser
    from edgesr.bench.diffusion import SCHEMA
    from edgesr.bench.results import read_document
    from edgesr.cli.console import out
    from edgesr.train.runlog import LOG_FILE

    document = read_document(results, {SCHEMA})
    card = publish_denoiser(Publication(name=name, to=to, results=document, log=LOG_FILE, **said))
    out.print(denoiser_card_markdown(card), markup=False, soft_wrap=True)
    _say_if_unknown(name)


def _say_if_unknown(name: str) -> None:
    from edgesr.cli.console import say
    from edgesr.zoo import ZOO

    if name not in ZOO:
        say(f"{name} is no name of edgesr upscale yet; add it to ZOO in edgesr/zoo/__init__.py")


def _enter(index: Path | None, name: str, folder: Path) -> None:
    if index is None:
        return

    from edgesr.bench.denoiser_card import SCHEMA
    from edgesr.cli.console import say
    from edgesr.zoo import ZooEntry
    from edgesr.zoo.release import add_release

    card = ZooEntry(name=name, model="", scale=1, folder=folder).read_card()
    entry = ZooEntry(
        name=name,
        model=card["model"],
        scale=card["scale"],
        is_denoiser=card["schema"] == SCHEMA,
        folder=folder,
    )
    add_release(index, entry)
    say(f"entered into {index}")


def _entry(name: str, model: str, scale: int, folder: Path) -> "ZooEntry":
    from edgesr.zoo import ZooEntry

    return ZooEntry(name=name, model=model, scale=scale, folder=folder)


def _refuse(run: Path, kind: str, **flags: object) -> None:
    given = [f"--{name}" for name, value in flags.items() if value is not None]
    if given:
        raise UsageError(f"{run}: {kind}; drop {' and '.join(given)}")


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
