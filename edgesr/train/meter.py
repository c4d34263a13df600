"""Throughput of the steps between two log lines."""

import time
from typing import Any

import torch
from torch import Tensor


class Meter:
    """Mean loss, throughput and the share of time spent on waiting for data."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.losses: list[Tensor] = []
        self.busy = self.waiting = 0.0
        self.mark = time.perf_counter()

    def data_ready(self) -> None:
        """Count the time since the last mark as waiting for data."""
        now = time.perf_counter()
        self.waiting += now - self.mark
        self.mark = now

    def step_done(self, loss: Tensor) -> None:
        """Count the time since the last mark as work; keep the loss without waiting for it."""
        self.losses.append(loss)
        now = time.perf_counter()
        self.busy += now - self.mark
        self.mark = now

    def pause(self) -> None:
        """Leave the time since the last mark out (validation, saving)."""
        self.mark = time.perf_counter()

    def report(self, step: int, rate: float) -> dict[str, Any]:
        """Return the log event of the steps since the last report and begin anew."""
        seconds = max(self.busy + self.waiting, 1e-9)
        event = {
            "event": "train",
            "step": step,
            "loss": float(torch.stack(self.losses).mean()),
            "learning_rate": rate,
            "samples_per_s": len(self.losses) * self.batch_size / seconds,
            "data_share": self.waiting / seconds,
        }
        self.losses, self.busy, self.waiting = [], 0.0, 0.0
        self.pause()
        return event
