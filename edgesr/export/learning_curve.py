"""How a run learned: read from its log, and thinned out for a card."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgesr.errors import CheckpointError

_POINTS = 12
"""Rows of the table; the JSON of a card has them all."""

_PSNR = "psnr_mai"


def learning_curve(log: Path) -> list[dict[str, float]]:
    """Return step, PSNR in dB and the last mean loss before it, for every validation of a run.

    Where a resumed run went over a step again, the later entry counts.

    Args:
        log: ``log.jsonl`` of the run.

    Raises:
        CheckpointError: it cannot be read or holds no validation.
    """
    try:
        events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        losses = {event["step"]: event["loss"] for event in events if event["event"] == "train"}
        found = {event["step"]: event[_PSNR] for event in events if event["event"] == "validate"}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{log}: cannot be read ({error!r}); name a whole run") from error
    if not found:
        raise CheckpointError(f"{log}: holds no validation; let the run validate once")
    curve = []
    for step in sorted(found):
        before = [at for at in losses if at <= step]
        loss = {"loss": losses[max(before)]} if before else {}
        curve.append({"step": step, "psnr": found[step], **loss})
    return curve


def curve_table(curve: Sequence[Mapping[str, float]]) -> str:
    """Return a Markdown table of up to twelve points of a learning curve, the last among them."""
    chosen = sorted({round(k * (len(curve) - 1) / (_POINTS - 1)) for k in range(_POINTS)})
    rows = [
        f"| {curve[k]['step']:.0f} | {curve[k]['psnr']:.3f} | {_loss(curve[k])} |" for k in chosen
    ]
    return "\n".join(["| step | PSNR dB | loss |", "|---:|---:|---:|", *rows])


def _loss(point: Mapping[str, float]) -> str:
    return f"{point['loss']:.4g}" if "loss" in point else "-"
