"""The card of a shipped denoiser: what it is, where from, and how good. Generated only."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgesr import __version__
from edgesr.bench.diffusion_page import findings, results_table
from edgesr.export.learning_curve import curve_table

if TYPE_CHECKING:
    from edgesr.models.denoiser_files import LoadedDenoiser

SCHEMA = "edgesr/denoiser-card/1"
_KEPT = ("step", "data_sha256", "best_psnr_mai", "commit", "edgesr_train", "distilled_by")


def build_denoiser_card(  # noqa: PLR0913 - the parts of a card
    name: str,
    *,
    loaded: "LoadedDenoiser",
    config: Mapping[str, Any],
    curve: Sequence[Mapping[str, float]],
    results: Mapping[str, Any],
    run_sha256: str,
    photographs: str,
    hardware: str,
    notes: str,
    teacher: str | None,
    one_step: str | None,
) -> dict[str, Any]:
    """Return the card as JSON values; it names no folder of the machine that made it.

    Args:
        name: of the published denoiser.
        loaded: the denoiser of the run.
        config: of the run, without its folders.
        curve: ``learning_curve`` of the run.
        results: a document of ``edgesr diffusion`` with its rows.
        run_sha256: of the weights in the run.
        photographs: what it was trained on, and their licence.
        hardware: that it was trained on.
        notes: what a user should know about it.
        teacher: published name of the network that a student learned from.
        one_step: published name of its one-step student.
    """
    from edgesr.upscalers.diffusion import path_of, sampling_path

    schedule = loaded.schedule
    return {
        "schema": SCHEMA,
        "edgesr": __version__,
        "name": name,
        "model": loaded.descriptor.name,
        "params": loaded.descriptor.params[loaded.scale],
        "scale": loaded.scale,
        "notes": notes,
        "run_sha256": run_sha256,
        "teacher": teacher,
        "one_step": one_step,
        "sampling": {
            "steps": sampling_path(loaded, None).num_steps,
            "path_steps": path_of(schedule, loaded.path).num_steps,
            "path": schedule.name,
            "path_parameters": dict(schedule.parameters),
            "prediction": loaded.prediction,
            "is_distilled": schedule.is_distilled,
            "centre": _centre(loaded),
        },
        "training": {
            **{key: loaded.metadata[key] for key in _KEPT if key in loaded.metadata},
            "photographs": photographs,
            "hardware": hardware,
            "config": dict(config),
            "curve": [dict(point) for point in curve],
        },
        **{key: results[key] for key in _OF_RESULTS},
    }


def _centre(loaded: "LoadedDenoiser") -> dict[str, Any] | None:
    centre = loaded.centre
    if centre is None:
        return None
    return {"model": centre.descriptor.name, "params": centre.params, "sha256": centre.sha256}


def denoiser_card_markdown(card: Mapping[str, Any]) -> str:
    """Return the card as a page for people; it renders without pictures."""
    import tomli_w

    training = card["training"]
    parts = [
        f"# {card['name']}",
        (
            f"`{card['model']}` x{card['scale']}, a diffusion denoiser of {card['params']:,} "
            "parameters, written by `edgesr publish` from its results."
        ),
        card["notes"],
        f"```sh\n{_commands(card)}\n```",
        _sampling(card),
        _centre_text(card),
        "## Quality",
        *_quality(card),
        "## Files",
        "\n".join(
            f"- `{name}`: {about['bytes']:,} bytes, sha256 `{about['sha256']}`"
            for name, about in card["files"].items()
        ),
        "## Training",
        (
            f"Photographs: {training['photographs']}. Hardware: {training['hardware']}. The "
            f"weights are those of step {training.get('step', '?')}, an average over the steps "
            f"before; pixel digest of the photographs "
            f"`{training.get('data_sha256', 'unknown')}`."
        ),
        _curve(training),
        f"```toml\n{tomli_w.dumps(training['config']).strip()}\n```",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_OF_RESULTS = ("protocol", "sampler", "seed", "seeds", "limit", "sets", "rows", "environments")


def _commands(card: Mapping[str, Any]) -> str:
    lines = [f"edgesr upscale --model {card['name']} photo.jpg"]
    if card["one_step"] is not None:
        lines.append(f"edgesr upscale --model {card['name']} --steps 1 photo.jpg")
    return "\n".join(lines)


def _sampling(card: Mapping[str, Any]) -> str:
    about = card["sampling"]
    steps = about["steps"]
    if about["is_distilled"]:
        return (
            f"It evaluates its network {_times(steps)}, as it was distilled from "
            f"[{card['teacher']}]({card['teacher']}.md) to do; it knows no other number of steps."
        )
    return (
        f"It evaluates its network {_times(steps)} unless `--steps` asks for others; it was "
        f"trained on {about['path_steps']} states of the path `{about['path']}`."
        + (
            f" With `--steps 1` its student [{card['one_step']}]({card['one_step']}.md) is taken."
            if card["one_step"] is not None
            else ""
        )
    )


def _centre_text(card: Mapping[str, Any]) -> str:
    centre = card["sampling"].get("centre")
    if centre is None:
        return ""
    return (
        f"It starts at the output of a regression network, not at bicubic interpolation: a "
        f"`{centre['model']}` of {centre['params']:,} parameters, which lies in the same file (its "
        f"own file had sha256 `{centre['sha256'][:12]}`)."
    )


def _times(steps: int) -> str:
    return "once" if steps == 1 else f"{steps} times"


def _quality(card: Mapping[str, Any]) -> list[str]:
    parts = [
        (
            f"Sampler `{card['sampler']}`, seed {card['seed']}; PSNR and SSIM by protocol "
            f"`{card['protocol']}`, the others on the luma as well. Steps are evaluations of the "
            "network; a star marks those that it takes unless others are asked for. Diversity is "
            f"the standard deviation over {card['seeds']} seeds in grey levels."
        )
    ]
    for name, facts in card["sets"].items():
        rows = [row for row in card["rows"] if row["set"] == name]
        if not rows:
            continue
        parts.append(
            f"**{name} x{card['scale']}**, {facts['images']} images, low-resolution ones "
            f"{facts['lr']}:"
        )
        parts.append(results_table(rows))
        parts.append("\n".join(f"- {sentence}" for sentence in findings(rows)))
    return parts


def _curve(training: Mapping[str, Any]) -> str:
    return (
        "Learning curve: PSNR in dB (protocol `mai`) on photographs that were held out, by "
        "sampling; mean loss of the last steps before.\n\n"
        f"{curve_table(training['curve'])}"
    )
