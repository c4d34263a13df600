"""The training loop: steps, validation, checkpoints, log; one process or many."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from edgesr.data.cache import DecodedImages
from edgesr.errors import DivergenceError
from edgesr.train.batches import BatchDataset, to_float
from edgesr.train.config import TrainConfig
from edgesr.train.ema import ema_decay_at, update_ema
from edgesr.train.meter import Meter
from edgesr.train.regression import Regression
from edgesr.train.resident import resident_patches
from edgesr.train.run_page import write_page
from edgesr.train.runlog import RunLog
from edgesr.train.samples import sample_grid
from edgesr.train.schedules import learning_rate_at, set_rate
from edgesr.train.shell import MakeObjective, Shell, start
from edgesr.train.signals import stop_signals
from edgesr.train.state import TrainingState, save_state
from edgesr.train.validate import PSNR_KEY, check_progress

Listener = Callable[[dict[str, Any]], None]
_STEPS_BETWEEN_TALKS = 10


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """How a run ended.

    Attributes:
        folder: the run folder.
        step: optimizer steps done.
        best_psnr: best validation PSNR in dB (protocol ``mai``, averaged weights).
        best_step: the step that reached it.
        interrupted: stopped by Ctrl-C or SIGTERM before the last step.
    """

    folder: Path
    step: int
    best_psnr: float
    best_step: int
    interrupted: bool


def train(  # noqa: PLR0913 - one call, one place
    config: TrainConfig,
    folder: Path,
    *,
    images: DecodedImages,
    held_out: DecodedImages,
    metadata: dict[str, str],
    state: TrainingState | None = None,
    objective: MakeObjective | None = None,
    listen: Listener = lambda _event: None,
) -> TrainResult:
    """Train until ``config.steps`` and leave weights, state and log in ``folder``.

    On a CPU a run that was stopped and resumed from its state ends with the same bits as one that
    was not, given the same number of threads.

    Args:
        config: settings; ``config.data`` is not read here.
        folder: existing run folder.
        images: training pairs.
        held_out: validation pairs.
        metadata: text that goes into the weights files.
        state: where to go on from.
        objective: what is trained; None is a network that enlarges in one pass.
        listen: called with every log event.

    Raises:
        DivergenceError: the loss became NaN or infinite, or the validation PSNR fell far; the
            last good checkpoint stays.
    """
    shell = start(config, images, state, objective or (lambda _: Regression(config=config)))
    log = RunLog(folder, tensorboard=config.tensorboard) if shell.is_main else RunLog(None)
    record = _Recorder(
        config=config, folder=folder, shell=shell, metadata=metadata, log=log, listen=listen
    )
    try:
        with stop_signals() as stopped:
            _run(config, shell, held_out, record, stopped)
    finally:
        log.close()
    shell.accelerator.wait_for_everyone()
    shell.accelerator.end_training()
    return TrainResult(
        folder=folder,
        step=shell.step,
        best_psnr=shell.best_psnr,
        best_step=shell.best_step,
        interrupted=shell.step < config.steps,
    )


@dataclass(frozen=True, kw_only=True)
class _Recorder:
    """Writes what a run leaves behind; does nothing in any process but the main one."""

    config: TrainConfig
    folder: Path
    shell: Shell
    metadata: dict[str, str]
    log: RunLog
    listen: Listener

    def tell(self, event: dict[str, Any]) -> None:
        if self.shell.is_main:
            self.log(event)
            self.listen(event)

    def show(self, held_out: DecodedImages) -> None:
        if self.config.samples and self.shell.is_main:
            pictures = partial(self.shell.objective.pictures, self.shell.averaged)
            device = self.shell.accelerator.device
            grid = sample_grid(pictures, held_out, count=self.config.samples, device=device)
            self.log.show(grid, step=self.shell.step)
            write_page(self.folder, title=f"{self.config.model} x{self.config.scale}")

    def save_weights(self, name: str) -> None:
        if self.shell.is_main:
            path, averaged = self.folder / name, self.shell.averaged
            reached = f"{self.shell.best_psnr:.4f}"
            facts = {**self.metadata, "step": str(self.shell.step), "best_psnr_mai": reached}
            self.shell.objective.save(path, averaged, facts)

    def save(self) -> None:
        self.save_weights("last.safetensors")
        if self.shell.is_main:
            save_state(self.folder, self.shell.state())


def _run(
    config: TrainConfig,
    shell: Shell,
    held_out: DecodedImages,
    record: _Recorder,
    stopped: Callable[[], bool],
) -> None:
    if shell.objective.validates_start and shell.step == 0:
        _validate(shell, held_out, record)
    meter = Meter(config.batch_size)
    for lr, hr in _batches(config, shell, record):
        meter.data_ready()
        loss = _step(config, shell, lr, hr)
        shell.step += 1
        meter.step_done(loss)
        done = shell.step == config.steps
        if shell.step % config.log_every == 0 or done:
            event = meter.report(shell.step, shell.optimizer.param_groups[0]["lr"])
            event.update(shell.objective.report())
            event.update({} if shell.revival is None else shell.revival.report())
            _check_finite(event["loss"], shell.step)
            record.tell(event)
        if shell.step % config.val_every == 0 or done:
            _validate(shell, held_out, record)
            meter.pause()
        stop = _agree(shell, stop=stopped())
        if shell.step % config.save_every == 0 or done or stop:
            _check_finite(float(loss), shell.step)
            record.save()
            meter.pause()
        if stop:
            return


def _agree(shell: Shell, *, stop: bool) -> bool:
    """Say whether any process was told to stop, so that none waits for one that has left."""
    if shell.accelerator.num_processes == 1:
        return stop
    if shell.step % _STEPS_BETWEEN_TALKS:
        return False
    flag = torch.tensor(float(stop), device=shell.accelerator.device)
    return bool(shell.accelerator.reduce(flag, "sum") > 0)


def _validate(shell: Shell, held_out: DecodedImages, record: _Recorder) -> None:
    device = shell.accelerator.device
    figures = shell.objective.validate(shell.averaged, held_out, device)
    record.tell({"event": "validate", "step": shell.step, **figures})
    record.show(held_out)
    psnr = figures[PSNR_KEY]
    check_progress(psnr, shell.best_psnr, shell.step, largest_fall=shell.objective.largest_fall)
    if psnr > shell.best_psnr:
        shell.best_psnr, shell.best_step = psnr, shell.step
        record.save_weights("best.safetensors")


def _batches(
    config: TrainConfig, shell: Shell, record: _Recorder
) -> Iterator[tuple[Tensor, Tensor]]:
    resident, note = resident_patches(config, shell.sampler, shell.accelerator.device)
    if note is not None:
        record.tell({"event": "note", "step": shell.step, "text": note})
    if resident is not None:
        yield from map(resident.batch, range(shell.step, config.steps))
        return
    loader = DataLoader(
        BatchDataset(shell.sampler),
        batch_size=None,
        sampler=range(shell.step, config.steps),
        num_workers=config.num_workers,
        persistent_workers=config.num_workers > 0,
        pin_memory=shell.accelerator.device.type == "cuda",
    )
    yield from loader


def _step(config: TrainConfig, shell: Shell, lr: Tensor, hr: Tensor) -> Tensor:
    rate = learning_rate_at(config, shell.step)
    set_rate(shell.optimizer, rate)
    device = shell.accelerator.device
    objective, network, averaged = shell.objective, shell.network, shell.averaged

    def forward(*inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, shell.precision, enabled=shell.precision is not None):
            return shell.trained(*inputs)

    loss = objective.loss(forward, to_float(lr, device), to_float(hr, device), shell.step)
    shell.optimizer.zero_grad()
    shell.accelerator.backward(loss)
    if shell.centring is not None:
        shell.centring.before_update()
    if config.grad_clip:
        shell.accelerator.clip_grad_norm_(shell.network.parameters(), config.grad_clip)
    objective.before_update(network, shell.step)
    shell.optimizer.step()
    if shell.centring is not None:
        shell.centring.after_update(rate)
    decay = ema_decay_at(shell.step, config.ema_decay)
    update_ema(averaged.parameters(), network.parameters(), decay)
    if shell.revival is not None:
        changed = shell.revival.after_update(shell.step, averaged, shell.optimizer)
        if shell.centring is not None:
            shell.centring.forget(changed)
    objective.after_update(network, averaged, shell.step)
    return loss.detach()


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise DivergenceError(
            f"training diverged: the loss is {loss} at step {step}; the last good checkpoint is "
            "kept, resume with a lower --learning-rate or with --grad-clip"
        )
