"""One step of exponential Adams methods: the linear part exact, predictions interpolated.

In ``l = ln(a / s)`` and with the residual's prediction ``r``, the reverse equation with noise
strength ``tau`` is solved from state t to u by

    x_u = c + (s_u / s_t) exp(-tau^2 h) (x_t - c)
          + a_u int (1 + tau^2) exp(-(1 + tau^2) (l_u - l)) r(l) dl
          + s_u sqrt(1 - exp(-2 tau^2 h)) noise,        h = l_u - l_t,

and ``r`` is replaced by the polynomial through known predictions.

Source: Xue et al. 2023, arXiv 2309.05019, the coefficients of eq. 15 (predictor) and 18
(corrector), on the path's residual. The authors' code adds a term of third order in the step to the
coefficients of order 2, for few steps; the paper does not have it, and it is not added here.
"""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from edgesr.diffusion.noise import Noise
from edgesr.diffusion.path import Path
from edgesr.diffusion.task import Task, draw

Known = tuple[int, Tensor]
"""A state, and the residual that was predicted there."""


def adams_step(  # noqa: PLR0913
    path: Path,
    x: Tensor,
    *,
    centre: Tensor | float,
    known: Sequence[Known],
    states: tuple[int, int],
    tau: float,
    noise: Tensor | None,
) -> Tensor:
    """Return the image at the second of ``states`` from ``x`` at the first.

    Args:
        path: of any schedule.
        x: ``(n, c, h, w)`` at the first state.
        centre: of the path, or 0.0.
        known: predictions to interpolate, the newest last.
        states: from, to.
        tau: strength of the noise; 0 for none.
        noise: standard normal, of the shape of ``x``; None if ``tau`` is 0.
    """
    t, u = states
    if path.noise[u] == 0:  # the clean image is the newest prediction
        return centre + known[-1][1]
    snr = path.half_log_snr
    h = float(snr[u] - snr[t])
    usable = [(state, r) for state, r in known if math.isfinite(h) and math.isfinite(snr[state])]
    usable = usable or [known[-1]]
    nodes = [float((snr[state] - snr[t]) / h) for state, _ in usable] if len(usable) > 1 else [0.0]
    weights = adams_weights(nodes, (1 + tau**2) * h)
    decay = math.exp(-(tau**2) * h) if tau else 1.0
    x_u = centre + float(path.noise[u] / path.noise[t]) * decay * (x - centre)
    for weight, (_, residual) in zip(weights, usable, strict=True):
        x_u = x_u + float(path.signal[u]) * weight * residual
    if noise is None:
        return x_u
    return x_u + float(path.noise[u]) * math.sqrt(-math.expm1(-2 * tau**2 * h)) * noise


def adams_weights(nodes: Sequence[float], k: float) -> list[float]:
    """Integrate the polynomial through the nodes against ``k exp(-k (1 - z))`` over z in [0, 1].

    Args:
        nodes: places of the known values, distinct; 0 is where the step starts, 1 where it ends.
        k: positive; infinite for one node.

    Returns:
        One weight a node.
    """
    moments = [_moment(power, k) for power in range(len(nodes))]
    powers = np.vander(np.asarray(nodes, np.float64), increasing=True).T
    return [float(weight) for weight in np.linalg.solve(powers, np.asarray(moments))]


def multistep(  # noqa: PLR0913
    task: Task,
    start: Tensor,
    *,
    sampler: str,
    order: int,
    tau: float,
    noise: Noise | None,
    correct: bool,
) -> Tensor:
    """Walk to the clean image by predictor steps, each followed by a corrector if ``correct``.

    Predict, evaluate, correct: the corrector also uses the prediction at the state just reached,
    with the noise of the predictor, and is not followed by another evaluation. The predictor
    interpolates ``order`` predictions, the corrector one more; early steps have fewer.
    """
    x = task.begin(start)
    centre = task.offset(x)
    path = task.path
    known: list[Known] = [(path.num_steps, task.residual(x, path.num_steps))]
    for t, u in path.steps():
        plane = draw(noise, x, state=u, sampler=sampler) if tau and path.noise[u] else None
        newest = known[-1][1]

        def step(
            known: Sequence[Known],
            x: Tensor = x,
            states: tuple[int, int] = (t, u),
            plane: Tensor | None = plane,
        ) -> Tensor:
            return adams_step(
                path, x, centre=centre, known=known, states=states, tau=tau, noise=plane
            )

        x_u = step(known[-order:])
        if u:
            latest = [*known[-order:], (u, task.residual(x_u, u))]
            x_u = step(latest) if correct else x_u
            known = latest[-order:]
        x = task.arrive(x_u, t, newest)
    return x


def _moment(power: int, k: float) -> float:
    # Integral of z^power. The recursion cancels for small k, where the series is short.
    if k < 1:
        terms = (k**j / math.factorial(j) / (j + power + 1) for j in range(24))
        return k * math.exp(-k) * sum(terms)
    value = -math.expm1(-k)
    for p in range(1, power + 1):
        value = 1 - p / k * value
    return value
