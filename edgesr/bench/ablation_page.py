"""Ablations of denoisers as Markdown: means and standard errors over seeds."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from edgesr.bench.zoo_page import ablation_table
from edgesr.models.denoisers import DENOISERS

MARKS = (
    "<!-- Results of `edgesr ablate`, written by `edgesr ablate --docs`. -->",
    "<!-- End of ablations. -->",
)

LOSS_KEY = "validation_loss"
"""As ``edgesr.train.validation_loss`` writes it."""

_LEGEND = (
    "**PSNR** of sampled held-out images; **loss** is the mean over the states of the path at "
    "fixed noise, in grey levels (squared for `l2`), and is less noisy. Mean and standard error "
    "over seeds; **gain** and **change** are means of differences to *all off* with the same seed, "
    "whose own error stands behind them: one within twice its error shows nothing. Time depends on "
    "the machine."
)


def table_of(document: Mapping[str, Any]) -> str:
    """Return the Markdown table of an ablation, of a denoiser or of a network of one pass."""
    is_denoiser = document["settings"]["model"] in DENOISERS
    return denoiser_table(document) if is_denoiser else ablation_table(document)


def ablations_section(documents: Sequence[Mapping[str, Any]]) -> str:
    """Return the part of a page that holds ablations of denoisers, without a heading."""
    if not documents:
        return "Nothing was measured yet."
    return "\n\n".join([_LEGEND, *(_ablation(one) for one in documents)])


def denoiser_table(document: Mapping[str, Any]) -> str:
    """Return the Markdown table of a denoiser's ablation: a row a switch."""
    results = document["results"]
    names = list(dict.fromkeys(one["row"] for one in results))
    base = {one["seed"]: one for one in results if one["row"] == names[0] and _went(one)}
    heads = ["", "PSNR dB", "gain dB", "loss", "change %", "seeds", "steps", "s per run"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    for name in names:
        mine = [one for one in results if one["row"] == name]
        good = [one for one in mine if _went(one)]
        pairs = [(one, base[one["seed"]]) for one in good if one["seed"] in base]
        gains = [one["psnr"] - other["psnr"] for one, other in pairs]
        changes = [100.0 * (one[LOSS_KEY] / other[LOSS_KEY] - 1.0) for one, other in pairs]
        lost = len(mine) - len(good)
        steps = mine[0]["changes"].get("steps", document["settings"]["steps"])
        cells = [
            name,
            _mean([one["psnr"] for one in good], "{:.3f}"),
            "" if name == names[0] else _mean(gains, "{:+.3f}"),
            _mean([one[LOSS_KEY] for one in good], "{:.3f}"),
            "" if name == names[0] else _mean(changes, "{:+.2f}"),
            f"{len(good)}" + (f", {lost} diverged" if lost else ""),
            f"{steps:,}",
            f"{fmean(one['seconds'] for one in mine):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ablation(document: Mapping[str, Any]) -> str:
    settings, data, machine = document["settings"], document["data"], document["environment"]
    smoke = (
        " **On the demo photographs: it shows that the command works, not which switch helps.**"
        if data["demo"]
        else ""
    )
    teacher = document["teacher"]
    taught = f"; taught by {teacher['title']} ({teacher['sha256'][:12]})" if teacher else ""
    done = {one["row"] for one in document["results"]}
    missing = [row for row in document["rows"] if row not in done]
    stopped = f"\n\nStopped early; not run: {', '.join(missing)}." if missing else ""
    return (
        f"**{settings['model']} x{settings['scale']}**, path {settings['diffusion_path']} of "
        f"{settings['diffusion_steps']} steps, loss `{settings['loss']}`; {data['description']}; "
        f"{data['train']} images to train on, {data['held_out']} held out; "
        f"{settings['batch_size']} patches of {settings['patch_size']} a step{taught}. "
        f"{machine['cpu']}, GPU {machine['gpu'] or 'none'}, torch "
        f"{machine['packages']['torch']}.{smoke}\n\n{denoiser_table(document)}{stopped}"
    )


def _went(result: Mapping[str, Any]) -> bool:
    return result["psnr"] is not None


def _mean(values: Sequence[float], form: str) -> str:
    if not values:
        return "-"
    mean = form.format(fmean(values))
    if len(values) == 1:
        return mean
    error = stdev(values) / math.sqrt(len(values))
    return f"{mean} ± {form.replace('+', '').format(error)}"
