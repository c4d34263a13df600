"""The one path of all models here: ``x_t = c + a_t (x0 - c) + s_t noise``.

The centre ``c`` is the upsampled image (ResShift, IR-SDE, RDDM) or zero (DDPM, SR3). ``x0 - c`` is
called the residual. State ``num_steps`` is where sampling starts and state 0 is where it ends, the
clean image in every schedule; tables are float64 and hold one value per state.

Source: the three models' forward processes, Ho et al. 2020, arXiv 2006.11239, section 2; Yue et al.
2023, arXiv 2307.12348, section 3.1; Luo et al. 2023, arXiv 2301.11699, section 3.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgesr.errors import DiffusionError

Chain = Literal["decay", "shift"]
"""How the path goes on from state u to a noisier state t.

``decay``: distance to the centre and old noise shrink alike, by ``a_t / a_u`` (DDPM, IR-SDE).
``shift``: old noise is kept and more is added (ResShift, RDDM).
"""
State = int | Tensor
"""A state number, or int64 ``(n,)`` with one for each image of a batch."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """Tables of a Gaussian path, one float64 per state, state 0 first.

    Attributes:
        name: of the schedule, for messages.
        signal: share of the residual, ``a``: at most 1, never rising, 0 at most at the last state.
        noise: standard deviation of the noise, ``s``: never falling, positive after state 0.
        timesteps: what the denoiser is told: each state's number before any respacing.
        chain: which posterior steps of ancestral sampling have.
        centred: whether the centre is an image; otherwise it is zero.
    """

    name: str
    signal: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    timesteps: npt.NDArray[np.int64]
    chain: Chain
    centred: bool

    def __post_init__(self) -> None:
        """Copy the tables and lock them.

        Raises:
            DiffusionError: tables of different lengths, or values that are no path.
        """
        for field, kind in (("signal", np.float64), ("noise", np.float64), ("timesteps", np.int64)):
            table = np.array(getattr(self, field), dtype=kind)
            table.setflags(write=False)
            object.__setattr__(self, field, table)
        a, s, steps = self.signal, self.noise, self.timesteps
        if a.ndim != 1 or a.size < 2 or not a.shape == s.shape == steps.shape:  # noqa: PLR2004
            shapes = f"{a.shape}, {s.shape} and {steps.shape}"
            raise DiffusionError(f"path {self.name}: tables of shapes {shapes}, want one length")
        for problem, found in {
            "a value that is not finite": not (np.isfinite(a).all() and np.isfinite(s).all()),
            "signal above 1 or that rises": a[0] > 1 or (np.diff(a) > 0).any(),
            "no signal before the last state": (a[:-1] <= 0).any() or a[-1] < 0,
            "noise that falls or is not positive": (np.diff(s) < 0).any() or (s[1:] <= 0).any(),
            "noise that is negative": s[0] < 0,
            "timesteps that do not rise": steps[0] < 0 or (np.diff(steps) <= 0).any(),
        }.items():
            if found:
                raise DiffusionError(
                    f"path {self.name}: {problem}; check the schedule's parameters"
                )

    @property
    def num_steps(self) -> int:
        """Number of steps from the start to the clean image."""
        return self.signal.size - 1

    @property
    def half_log_snr(self) -> npt.NDArray[np.float64]:
        """``ln(a / s)`` of every state; infinite at state 0, minus infinite without signal."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.signal) - np.log(self.noise), np.float64)

    def steps(self) -> Iterator[tuple[int, int]]:
        """Yield (state, next state) from the start to (1, 0)."""
        return ((t, t - 1) for t in range(self.num_steps, 0, -1))


def respace(path: Path, timesteps: Sequence[int]) -> Path:
    """Keep only some states; the denoiser is still told their original numbers.

    Args:
        path: of any schedule, respaced before or not.
        timesteps: original numbers to keep, rising, without state 0, which is always kept.

    Raises:
        DiffusionError: none, not rising, or one that the path does not have.
    """
    states = {int(timestep): state for state, timestep in enumerate(path.timesteps)}
    last = int(path.timesteps[-1])
    for timestep in timesteps:
        if timestep == 0 or timestep not in states:
            raise DiffusionError(
                f"path {path.name}: timestep {timestep} is not in the schedule, want some of its "
                f"{path.num_steps} between 1 and {last}; spaced_timesteps picks them"
            )
    if not len(timesteps) or any(np.diff(timesteps) <= 0):
        raise DiffusionError(
            f"path {path.name}: timesteps {list(timesteps)}, want at least one, in rising order"
        )
    kept = [0, *(states[timestep] for timestep in timesteps)]
    return Path(
        name=path.name,
        signal=path.signal[kept],
        noise=path.noise[kept],
        timesteps=path.timesteps[kept],
        chain=path.chain,
        centred=path.centred,
    )


def spaced_timesteps(
    path: Path, num_steps: int, *, by: Literal["time", "snr"] = "time"
) -> list[int]:
    """Pick ``num_steps`` timesteps, the last one among them, for ``respace``.

    Args:
        path: of any schedule.
        num_steps: how many to keep, from 1 to ``path.num_steps``.
        by: evenly in the state number, or as evenly as can be in the logarithm of the
            signal-to-noise ratio, which is for very few steps.

    Raises:
        DiffusionError: a number of steps that the path cannot give.
    """
    if not 1 <= num_steps <= path.num_steps:
        raise DiffusionError(
            f"path {path.name}: {num_steps} steps, want 1 to {path.num_steps}, its own"
        )
    if by == "time":
        states = np.rint(np.linspace(0, path.num_steps, num_steps + 1)).astype(int)[1:]
        return [int(timestep) for timestep in path.timesteps[states]]
    levels = path.half_log_snr[1:]
    levels = np.maximum(levels, levels[np.isfinite(levels)].min(initial=0.0))  # a last signal of 0
    wanted = np.linspace(levels[-1], levels[0], num_steps)
    states = np.abs(levels[None, :] - wanted[:, None]).argmin(axis=1) + 1
    states[0] = path.num_steps
    for number in range(1, num_steps):  # neighbours that fell on one state move apart
        states[number] = min(states[number], states[number - 1] - 1)
    for number in range(num_steps - 1, -1, -1):
        states[number] = max(states[number], num_steps - number)
    return [int(timestep) for timestep in path.timesteps[states[::-1]]]


def diffuse(path: Path, t: State, x0: Tensor, *, noise: Tensor, centre: Tensor | None) -> Tensor:
    """Return ``x_t``, the clean image taken to state ``t``.

    Args:
        path: of any schedule.
        t: one state, or one for each image; on the CPU it costs no wait for the device.
        x0: ``(n, c, h, w)`` in [-1, 1].
        noise: standard normal, of the shape of ``x0``.
        centre: of the shape of ``x0`` where the path has a centre, else None.

    Raises:
        DiffusionError: a state that the path does not have, or shapes that do not fit.
    """
    offset = centre_of(path, centre, x0)
    if noise.shape != x0.shape:
        raise DiffusionError(
            f"noise has shape {tuple(noise.shape)}, want {tuple(x0.shape)}, that of the image"
        )
    signal, spread = level(path, "signal", t, x0), level(path, "noise", t, x0)
    return offset + signal * (x0 - offset) + spread * noise


def centre_of(path: Path, centre: Tensor | None, x: Tensor) -> Tensor | float:
    """Return the centre, 0.0 for a path without one.

    Raises:
        DiffusionError: a centre that is missing, not wanted, or not like ``x``.
    """
    if path.centred and centre is None:
        raise DiffusionError(
            f"path {path.name}: no centre, want the upsampled image of shape {tuple(x.shape)}"
        )
    if centre is None:
        return 0.0
    if not path.centred:
        raise DiffusionError(
            f"path {path.name}: it has no centre, want centre=None; "
            "an image that the network sees is its condition"
        )
    if centre.shape != x.shape:
        raise DiffusionError(
            f"path {path.name}: centre has shape {tuple(centre.shape)}, want {tuple(x.shape)}; "
            "upsample the low-resolution image by the network's scale"
        )
    if (centre.dtype, centre.device) != (x.dtype, x.device):
        raise DiffusionError(
            f"path {path.name}: centre is {centre.dtype} on {centre.device}, "
            f"want {x.dtype} on {x.device}"
        )
    return centre


def level(path: Path, table: Literal["signal", "noise"], t: State, x: Tensor) -> float | Tensor:
    """Return a table's value at state ``t``, shaped to multiply ``x`` where ``t`` is a tensor.

    Raises:
        DiffusionError: a state that the path does not have, or not one for each image.
    """
    values = path.signal if table == "signal" else path.noise
    if isinstance(t, int):
        _check_state(path, t, t)
        return float(values[t])
    if t.shape != x.shape[:1] or t.is_floating_point():
        raise DiffusionError(
            f"path {path.name}: states are {t.dtype} of shape {tuple(t.shape)}, "
            f"want int64 of shape ({x.shape[0]},), one for each image"
        )
    states = t.cpu()
    _check_state(path, int(states.min()), int(states.max()))
    picked = torch.from_numpy(values.copy())[states].to(dtype=x.dtype, device=x.device)
    return picked.reshape(-1, *[1] * (x.ndim - 1))


def _check_state(path: Path, low: int, high: int) -> None:
    wrong = low if low < 0 else high
    if low < 0 or high > path.num_steps:
        raise DiffusionError(
            f"path {path.name}: state {wrong} is not in it, want 0 to {path.num_steps}"
        )
