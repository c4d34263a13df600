"""The card of a trained network: what it is, where it came from, how good it is. Generated only."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgesr import __version__
from edgesr.errors import CheckpointError
from edgesr.evaluate import Evaluation, to_json
from edgesr.export.learning_curve import curve_table
from edgesr.files import sha256_file

SCHEMA = "edgesr/card/1"
_PRIVATE_KEYS = ("data", "lr_data", "val_data", "start_from", "teacher", "centre", "runs", "name")
_KEPT_OF_METADATA = (
    "step",
    "data",
    "data_sha256",
    "best_psnr_mai",
    "commit",
    "teacher",
    "teacher_sha256",
    "start",
    "start_sha256",
    "fold_max_abs_difference",
)
_KEPT_OF_EVALUATION = ("count", "mean", "bicubic", "colour_bias")


def build_card(  # noqa: PLR0913 - the parts of a card
    name: str,
    *,
    run: Path,
    report: Mapping[str, Any],
    evaluations: Mapping[str, Evaluation],
    float_evaluations: Mapping[str, Evaluation],
    environment: Mapping[str, Any],
    notes: str,
) -> dict[str, Any]:
    """Return the card as JSON values; it names no folder of the machine that made it.

    Args:
        name: of the published network.
        run: run folder with ``config.toml``.
        report: what ``edgesr export`` found out about the INT8 file.
        evaluations: of the INT8 file, by name of the set.
        float_evaluations: of the float weights, by name of the set.
        environment: of the measurements.
        notes: what a user should know about the training.

    Raises:
        CheckpointError: the run folder has no readable configuration.
    """
    verification = report["verification"]
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "name": name,
        "model": report["model"],
        "scale": report["scale"],
        "notes": notes,
        "training": {
            "config": public_config(run),
            **{
                key: value
                for key, value in report["checkpoint"]["metadata"].items()
                if key in _KEPT_OF_METADATA
            },
        },
        "int8": {
            "io": report["io"],
            "operators": report["operators"],
            "calibration": {
                "crops": report["calibration"]["crops"],
                "images": len(report["calibration"]["images"]),
                "seed": report["calibration"]["seed"],
                "digest": report["calibration"]["digest"],
            },
            "mismatches": verification["mismatches"],
            "values_compared": verification["values"],
            "psnr_to_float": verification["psnr_to_float"],
            "worst_to_float": verification["worst_to_float"],
            "constant_levels_exact": verification["constant_levels"]["exact"],
        },
        "evaluations": {name: _summary(found) for name, found in evaluations.items()},
        "float_evaluations": {name: _summary(found) for name, found in float_evaluations.items()},
        "environment": dict(environment),
    }


def add_files(card: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """Return ``card`` with size and hash of the published files."""
    facts = {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in files.values()
    }
    return {**card, "files": facts}


def card_markdown(card: Mapping[str, Any]) -> str:
    """Return the card as a page for people."""
    import tomli_w

    training, int8 = card["training"], card["int8"]
    calibration = int8["calibration"]
    rows = [
        f"| {name} | {protocol} | {found['bicubic'][protocol]['psnr']:.2f} | "
        f"{card['float_evaluations'][name]['mean'][protocol]['psnr']:.3f} | "
        f"{score['psnr']:.3f} | {score['ssim']:.4f} |"
        for name, found in card["evaluations"].items()
        for protocol, score in found["mean"].items()
    ]
    settings = tomli_w.dumps(training["config"]).strip()
    files = "\n".join(
        f"- `{name}`: {about['bytes']:,} bytes, sha256 `{about['sha256']}`"
        for name, about in card["files"].items()
    )
    operators = ", ".join(f"{name} x{count}" for name, count in int8["operators"].items())
    return "\n".join(
        [
            f"# {card['name']}",
            "",
            f"{card['model']} x{card['scale']}, written by `edgesr publish` from its results.",
            "",
            card["notes"],
            "",
            "## Quality",
            "",
            "PSNR in dB, mean over images; SSIM of the INT8 file.",
            "",
            "| set | protocol | bicubic | float | INT8 | SSIM |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## INT8 file",
            "",
            (
                f"{int8['io']} in and out; {operators}. LiteRT and integer simulation differ in "
                f"{int8['mismatches']} of {int8['values_compared']:,} values; "
                f"{int8['psnr_to_float']:.2f} dB to the float network on held-out images (worst "
                f"image {int8['worst_to_float']:.2f} dB); "
                f"{int8['constant_levels_exact']} of 256 grey levels map to themselves. Calibrated "
                f"on {calibration['crops']} crops of {calibration['images']} training images "
                f"(seed {calibration['seed']})."
            ),
            *_proof(card),
            *_speed(card),
            "",
            files,
            "",
            "## Training",
            "",
            (
                f"{training.get('data', 'unknown data')}; pixel digest "
                f"`{training.get('data_sha256', 'unknown')}`; {training.get('step', '?')} steps; "
                f"commit {training.get('commit', 'unknown')}; trained on "
                f"{training.get('hardware', 'hardware that the notes name')}."
                f"{_sources(training)}"
            ),
            *_curve(training),
            "",
            "```toml",
            settings,
            "```",
            "",
        ]
    )


def public_config(run: Path) -> dict[str, Any]:
    """Return the configuration of a run without the folders of the machine that made it.

    Raises:
        CheckpointError: the run folder has no readable configuration.
    """
    path = run / "config.toml"
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); name a run folder") from error
    return public_settings(config)


def public_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a run without folders and files of the machine that it runs on."""
    return {key: value for key, value in config.items() if key not in _PRIVATE_KEYS}


def _proof(card: Mapping[str, Any]) -> list[str]:
    if "certificate" not in card:
        return []
    about = card["certificate"]
    counts = ", ".join(
        f"{name} {one['mismatches']} of {one['values']:,}" for name, one in about["kernels"].items()
    )
    return [
        "",
        (
            f"[Certificate]({about['file']}): values in which {about['litert']} and the simulation "
            f"differ, by kernels: {counts}. `edgesr verify --replay` runs it again."
        ),
    ]


def _speed(card: Mapping[str, Any]) -> list[str]:
    if not card.get("cpu_ratio"):
        return []
    rows = [
        f"{one['ratio']:.2f} ({one['low']:.2f} to {one['high']:.2f}) with {one['threads']} "
        f"thread{'s' * (one['threads'] != 1)} of {one['cpu']}, {one['runtime']}, {one['shape']} in"
        for one in card["cpu_ratio"]
    ]
    return [
        "",
        f"Processor time as a ratio to that of ncnet_x3, median and quartiles: {'; '.join(rows)}.",
    ]


def _sources(training: Mapping[str, Any]) -> str:
    """Return which trained networks it began with and learned from."""
    verbs = {"start": "Started with the weights of", "teacher": "Learned from"}
    said = [
        f" {verb} {training[key]}, sha256 `{training[f'{key}_sha256']}`."
        for key, verb in verbs.items()
        if key in training
    ]
    return "".join(said)


def _curve(training: Mapping[str, Any]) -> list[str]:
    if "curve" not in training:
        return []
    return [
        "",
        (
            "Learning curve of the float network: PSNR in dB (protocol `mai`) on photographs that "
            "were held out; mean loss of the last steps before."
        ),
        "",
        curve_table(training["curve"]),
    ]


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    content = to_json(evaluation)
    return {key: content[key] for key in _KEPT_OF_EVALUATION}
