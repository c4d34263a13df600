"""``edgesr eval``: PSNR and SSIM of checkpoints and .tflite files under named protocols."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgesr.evaluate import Evaluation
    from edgesr.upscalers import Upscaler
    from edgesr.upscalers.load import Sampling

ProtocolName = Literal["mai", "ntire-esr", "classic-y"]
MetricName = Literal[
    "ms_ssim", "vif", "gmsd", "spectrum_distance_db", "high_frequency_ratio", "lpips", "dists"
]


def eval_(  # noqa: PLR0913 - one parameter a flag
    *sources: str,
    data: Path,
    lr: Path | None = None,
    protocol: Annotated[list[ProtocolName] | None, Parameter(negative="")] = None,
    perceptual: Annotated[bool, Parameter(negative="")] = False,
    metric: Annotated[list[MetricName] | None, Parameter(negative="")] = None,
    scale: Annotated[int | None, Parameter(name=["--scale", "-s"])] = None,
    model: Annotated[str | None, Parameter(name=["--model", "-n"])] = None,
    limit: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    steps: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    seed: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    sampler: str = "ddim",
    colour_fix: str | None = None,
    threads: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Measure upscalers on a set of images, with bicubic interpolation beside them.

    Args:
        sources: weights files, run folders, .tflite files, shipped models or `bicubic`; several
            are compared. Default is the newest run.
        data: folder of images; its layout is recognised.
        lr: folder of low-resolution images to use instead of the ones found or made.
        protocol: what to compare, may be repeated; default is all three.
        perceptual: measure how the images look as well, by all metrics that need no weights.
        metric: a single one of these metrics, or `lpips`, `dists`; may be repeated.
        scale: upscaling factor, where a source does not name its own.
        model: network, where a weights file does not name it.
        limit: only the first so many images.
        steps: of the diffusion denoisers among the sources; default is what their files say.
        seed: of their noise.
        sampler: of theirs: ddim, ancestral, dpm_solver_2m, sa_solver, mrs_ode or mrs_sde.
        colour_fix: of theirs: `mean_std` or `low_pass`; default is neither.
        threads: CPU threads; default is all.
        json: print one JSON document instead of a table.
    """
    from edgesr.cli.console import out, say
    from edgesr.cli.sampling import say_student
    from edgesr.data.layouts import find_dataset
    from edgesr.evaluate import evaluate, to_json
    from edgesr.metrics import PROTOCOLS
    from edgesr.perception import PERCEPTUAL
    from edgesr.upscalers import load_upscaler
    from edgesr.upscalers.load import FULL, Sampling

    sampling = Sampling(steps=steps, seed=seed, sampler=sampler, colour_fix=colour_fix)
    named = list(sources) or _newest()
    sampled = _sampled(named, sampling)
    for source in sampled:
        say_student(source, steps)
    upscalers = [
        load_upscaler(
            source,
            scale=scale,
            model=model,
            threads=threads,
            sampling=sampling if source in sampled else FULL,
        )
        for source in named
    ]
    dataset = find_dataset(data, _common_scale(upscalers), lr_root=lr)
    say(dataset.describe())
    chosen = list(protocol or PROTOCOLS)
    names = list(dict.fromkeys([*(PERCEPTUAL if perceptual else ()), *(metric or ())]))
    results = [
        evaluate(upscaler, dataset, chosen, metrics=names, limit=limit) for upscaler in upscalers
    ]
    if json:
        evaluations = [
            {**to_json(result), "network_evaluations": _evaluations(upscaler)}
            for result, upscaler in zip(results, upscalers, strict=True)
        ]
        out.print_json(data={"schema": "edgesr/eval/1", "evaluations": evaluations})
        return
    out.print(_table(results))
    if names:
        out.print(_perceptual_table(results))
    for result, upscaler in zip(results, upscalers, strict=True):
        line = _closing_line(result, _evaluations(upscaler))
        out.print(line, markup=False, soft_wrap=True)


def _newest() -> list[str]:
    from edgesr.models.checkpoint import newest_run

    return [str(newest_run())]


def _sampled(sources: list[str], sampling: "Sampling") -> set[str]:
    """Return the sources that are denoisers; flags that would go unheard are refused."""
    from edgesr.upscalers.load import is_sampled

    found = {source for source in sources if is_sampled(source)}
    if not found and (sampling.steps is not None or sampling.colour_fix is not None):
        raise UsageError(
            f"{', '.join(sources)}: no diffusion denoiser among them; drop --steps and --colour-fix"
        )
    return found


def _evaluations(upscaler: "Upscaler") -> int:
    from edgesr.upscalers import network_evaluations

    return 0 if upscaler.name == "bicubic" else network_evaluations(upscaler)


def _common_scale(upscalers: "list[Upscaler]") -> int:
    scales = {upscaler.scale for upscaler in upscalers}
    if len(scales) > 1:
        found = ", ".join(f"{upscaler.name} x{upscaler.scale}" for upscaler in upscalers)
        raise UsageError(f"cannot compare different scales ({found}); evaluate them apart")
    return scales.pop()


def _table(results: "list[Evaluation]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"x{results[0].scale}, mean over {len(results[0].images)} images")
    table.add_column("protocol")
    table.add_column("upscaler", overflow="fold")
    for heading in ("PSNR dB", "SSIM", "over bicubic"):
        table.add_column(heading, justify="right", no_wrap=True)
    for protocol, bicubic in results[0].bicubic.items():
        measured = [(result.upscaler, result.scores[protocol]) for result in results]
        rows = [("bicubic", bicubic), *(row for row in measured if row[0] != "bicubic")]
        for name, score in rows:
            table.add_row(
                protocol,
                Text(name),
                f"{score.psnr:.3f}",
                f"{score.ssim:.4f}",
                f"{score.psnr - bicubic.psnr:+.3f}",
            )
        table.add_section()
    return table


def _perceptual_table(results: "list[Evaluation]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from edgesr.perception import LEARNED, PERCEPTUAL

    titles = {name: (m.title, m.better) for name, m in PERCEPTUAL.items()}
    titles.update({name: (m.title, m.better) for name, m in LEARNED.items()})
    bicubic = results[0].perceptual_bicubic
    table = Table(title="luma (learned metrics: RGB), border = scale")
    table.add_column("upscaler", overflow="fold")
    for name in bicubic:
        table.add_column("\n".join(titles[name]), justify="right", no_wrap=True)
    measured = [(result.upscaler, result.perceptual) for result in results]
    for name, values in [("bicubic", bicubic), *(row for row in measured if row[0] != "bicubic")]:
        table.add_row(Text(name), *(f"{value:.4f}" for value in values.values()))
    return table


def _closing_line(result: "Evaluation", evaluations: int) -> str:
    red, green, blue = result.colour_bias
    count = len(result.images)
    return (
        f"{result.upscaler}: {count} images in {result.seconds:.2f} s "
        f"({1000 * result.seconds / count:.0f} ms and {evaluations} network "
        f"evaluation{'s' * (evaluations != 1)} an image); mean SR - HR in grey levels "
        f"R {red:+.3f} G {green:+.3f} B {blue:+.3f}"
    )
