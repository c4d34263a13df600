"""``edgesr models``: what can be trained, the trained networks that are here, and fetching more."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from edgesr.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

models = App(name="models", help="List networks and trained ones; fetch more.")
models.command(
    "edgesr.cli.models_import:import_", name="import", help="Read weights that others published."
)


@models.default
def list_(
    *,
    json: Annotated[bool, Parameter(negative="")] = False,
    docs: Path | None = None,
) -> None:
    """List the networks and denoisers that edgesr trains, and the trained ones that are here.

    Parameters, MACs, PSNR and CPU time come from cards and results files; nothing is measured.

    Args:
        json: print one JSON document instead of tables.
        docs: write the page of trained networks (Markdown) there instead, from the cards of those
            that ship and from benchmarks/results.
    """
    from edgesr.bench.zoo_facts import network_facts, read_results, trained_facts
    from edgesr.cli.console import out
    from edgesr.zoo import ZOO
    from edgesr.zoo.find import find_entry
    from edgesr.zoo.pulled import pulled_names

    if docs is not None and json:
        raise UsageError("--docs writes a page and --json prints a document; choose one")
    documents = read_results()
    networks = network_facts(documents)
    shipped = [trained_facts(entry, documents) for entry in ZOO.values()]
    if docs is not None:
        _write_page(docs, shipped, networks)
        return
    entries = [find_entry(name) for name in pulled_names() if name not in ZOO]
    pulled = [trained_facts(entry, documents) for entry in entries if entry is not None]
    denoisers = _denoisers()
    if json:
        document = {
            "schema": "edgesr/models/1",
            "networks": networks,
            "denoisers": denoisers,
            "shipped": shipped,
            "pulled": pulled,
        }
        out.print_json(data=document)
        return
    _print_networks(networks)
    _print_denoisers(denoisers)
    _print_trained("shipped models", shipped)
    if pulled:
        _print_trained("pulled models", pulled)


@models.command
def pull(
    name: str,
    /,
    *,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Fetch a trained network that does not ship; commands then take its name.

    Args:
        name: of the network in the release index.
        from_: address of a release index (http or https); default is that in the environment
            variable EDGESR_RELEASES.
        json: print one JSON document.
    """
    from edgesr.cli.console import out
    from edgesr.zoo.pull import pull as fetch
    from edgesr.zoo.release import release_location

    url = release_location(from_)
    with _progress() as progress:
        task = progress.add_task(name, total=None)
        entry = fetch(name, url, progress=partial(_show, progress, task))
    if json:
        files = [str(path) for path in entry.files]
        document = {"schema": "edgesr/models-pull/1", "name": name, "from": url, "files": files}
        out.print_json(data=document)
        return
    out.print(f"{name}: {entry.model} x{entry.scale} in {entry.folder}", soft_wrap=True)


def _write_page(docs: Path, shipped: list[dict[str, Any]], networks: list[dict[str, Any]]) -> None:
    from edgesr.bench.baselines import load_baselines
    from edgesr.bench.results import read_document
    from edgesr.bench.zoo_page import ABLATION_SCHEMA, zoo_page
    from edgesr.cli.console import say
    from edgesr.files import write_text
    from edgesr.resources import data_dir

    paths = sorted((data_dir("benchmarks") / "results").glob("ablation_*.json"))
    ablations = [read_document(path, {ABLATION_SCHEMA}) for path in paths]
    write_text(docs, zoo_page(shipped, networks, ablations, load_baselines("classic-x3")))
    say(f"wrote {docs}")


def _print_networks(networks: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from edgesr.cli.console import out

    caption = (
        "reach: low-resolution pixels seen, width; GMACs: to 1920x1080, x3; "
        "CPU: time of the untrained x3 graph to NCNet's"
    )
    table = Table(title="networks", caption=caption)
    for heading in ("network", "parameters", "GMACs", "CPU", "reach", "source"):
        table.add_column(heading)
    for network in networks:
        work, speed = network["gmacs_1080p"].get("3"), network["cpu_ratio_x3"]
        table.add_row(
            network["name"],
            _params(network),
            "-" if work is None else f"{work:.2f}",
            "-" if speed is None else f"{speed['ratio']:.2f}",
            str(network["receptive_field"]),
            network["source"],
        )
    out.print(table)


def _print_denoisers(denoisers: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from edgesr.cli.console import out

    table = Table(title="diffusion denoisers", caption="reach: -, the whole image")
    for heading in ("denoiser", "parameters", "reach", "INT8", "source"):
        table.add_column(heading)
    for denoiser in denoisers:
        reach = str(denoiser["receptive_field"] or "-")
        int8 = "yes" if denoiser["int8"] else "no"
        table.add_row(denoiser["name"], _params(denoiser), reach, int8, denoiser["source"])
    out.print(table)


def _print_trained(title: str, trained: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from edgesr.cli.console import out

    table = Table(title=title, caption="GMACs: to 1920x1080; CPU: time to that of ncnet_x3")
    for heading in ("model", "network", "parameters", "GMACs", "CPU", "files", "PSNR dB"):
        table.add_column(heading)
    for one in trained:
        network = f"{one['network']} x{one['scale']}"
        if one["steps"] is not None:
            network += f"\n{one['steps']} step{'s' * (one['steps'] != 1)}"
        if one["centre"] is not None:
            network += f"\ncentre: {one['centre']}"
        files = [f"{file['path']} ({file['bytes'] / 1000:.0f} kB)" for file in one["files"]]
        speeds = [f"{s['ratio']:.2f} ({s['threads']} thr)" for s in one["cpu_ratio"]]
        quality = [f"{name} {value}" for name, value in one["psnr"].items()]
        table.add_row(
            one["name"],
            network,
            "-" if one["params"] is None else f"{one['params']:,}",
            "-" if one["gmacs_1080p"] is None else f"{one['gmacs_1080p']:.2f}",
            "\n".join(speeds) or "-",
            "\n".join(files),
            "\n".join(quality) or "-",
        )
    out.print(table)


def _denoisers() -> list[dict[str, Any]]:
    from edgesr.models.denoisers import DENOISERS

    return [
        {
            "name": denoiser.name,
            "title": denoiser.title,
            "params": {str(scale): count for scale, count in denoiser.params.items()},
            "receptive_field": denoiser.receptive_field,
            "prediction": denoiser.prediction,
            "int8": denoiser.int8,
            "source": denoiser.source,
        }
        for denoiser in DENOISERS.values()
    ]


def _params(network: dict[str, Any]) -> str:
    return ", ".join(f"x{scale} {count:,}" for scale, count in network["params"].items())


def _progress() -> "Progress":
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    from edgesr.cli.console import err

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _show(progress: "Progress", task: "TaskID", name: str, done: int, total: int) -> None:
    progress.update(task, description=name, completed=done, total=total)
