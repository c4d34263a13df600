"""``edgesr train``: from photographs to a run folder with weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from cyclopts import Parameter

from edgesr.errors import UsageError
from edgesr.train.config import TrainConfig

if TYPE_CHECKING:
    from edgesr.train.loop import TrainResult
    from edgesr.train.run import Run

_DEFAULTS = TrainConfig()


def train(
    *,
    recipe: str | None = None,
    config: Path | None = None,  # noqa: ARG001 - train_config_files reads it
    resume: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    settings: Annotated[TrainConfig, Parameter(name="*")] = _DEFAULTS,
) -> None:
    """Train a network; settings come from flags, then --config, then --recipe, then defaults.

    Args:
        recipe: named settings that ship with edgesr: `quick`, `ncnet_x3`, `ncnet_x3_cpu`,
            `edge_x3_cpu`, `zoo_x3`, `resshift_px_s_x4`;
            with --from RUN: `quick_qat`, `ncnet_x3_qat`, `abpn_x3_qat`,
            `ncnet_x3_w4a8_qat`, `ncnet_x3_w4a4_qat`, `resshift_px_s_x4_sinsr`,
            `resshift_px_s_x4_rsd`.
        config: TOML file with the keys of the flags (`learning_rate = 1e-3`).
        resume: run folder to go on with, as if it had never stopped.
        dry_run: check settings and images, then stop.
        settings: everything that decides the run.
    """
    from edgesr.cli.console import hushed, out, say
    from edgesr.train.run import go, open_run

    if recipe is not None and resume is not None:
        raise UsageError("--recipe and --resume contradict each other; a run keeps its settings")
    run = open_run(settings, resume=resume, dry_run=dry_run)
    with hushed(quiet=not run.is_main):
        say(_opening(run))
        if dry_run:
            say("dry run: nothing was written")
            return
        say(f"run folder {run.folder}")
        with _Listener(run.config.steps) as listener:
            result = go(run, listen=listener)
    if run.is_main:
        out.print(_closing(result), markup=False, soft_wrap=True)
    if result.interrupted:
        raise KeyboardInterrupt


def _opening(run: "Run") -> str:
    lines = [run.images.description]
    if run.images.is_demo:
        lines.append(
            "DEMO SET: no --data was given, so these few photographs stand in; good for trying "
            "edgesr out, not for a network to use"
        )
    lines.append(
        f"training on {len(run.images.train.names)} images, "
        f"{len(run.images.held_out.names)} held out"
    )
    if run.warm_start is not None:
        lines.append(str(run.warm_start))
    if run.centre is not None:
        lines.append(
            f"the centre is made by a {run.centre.descriptor.name} of {run.centre.params:,} "
            f"parameters ({run.config.centre})"
        )
    if run.twin is not None:
        lines.append(
            f"its blocks learn from those of {run.twin.title}, float ({run.config.teacher})"
        )
    return "\n".join(lines)


def _closing(result: "TrainResult") -> str:
    done = "interrupted" if result.interrupted else "done"
    again = f"; go on with edgesr train --resume {result.folder}" if result.interrupted else ""
    return (
        f"{done} at step {result.step}: best PSNR {result.best_psnr:.2f} dB (mai: RGB, no border, "
        f"held-out images) at step {result.best_step}; weights in {result.folder}{again}"
    )


class _Listener:
    """Shows training events: a progress bar on a terminal, plain lines elsewhere."""

    def __init__(self, steps: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from edgesr.cli.console import err

        self._shows = err.is_terminal
        self._note = ""
        self._progress: Progress = Progress(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=err,
            disable=not self._shows,
        )
        self._task = self._progress.add_task("", total=steps)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        from edgesr.cli.console import say

        if event["event"] == "validate":
            self._note = f"val {event['psnr_mai']:.2f} dB (mai)"
            if "psnr_to_float" in event:
                self._note = f"val {event['psnr_mai']:.3f} dB (mai), "
                self._note += f"{event['psnr_to_float']:.2f} dB to float"
            text = f"step {event['step']}: {self._note}"
        elif event["event"] == "note":
            say(event["text"])
            return
        else:
            text = (
                f"loss {event['loss']:.3f}  {event['samples_per_s']:.0f} images/s  "
                f"data {event['data_share']:.0%}"
            )
            shown = f"{text}  {self._note}"
            self._progress.update(self._task, completed=event["step"], description=shown)
            text = f"step {event['step']}: {text}"
        if not self._shows:
            say(text)
