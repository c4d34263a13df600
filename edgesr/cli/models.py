"""``edgesr models``: networks and denoisers that can be trained, and the trained ones that ship."""

from typing import Annotated, Any

from cyclopts import Parameter


def models(*, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """List the networks and denoisers that edgesr trains and the trained models that it ships.

    Args:
        json: print one JSON document instead of tables.
    """
    from edgesr.cli.console import out

    networks, denoisers, shipped = _networks(), _denoisers(), _shipped()
    if json:
        document = {
            "schema": "edgesr/models/1",
            "networks": networks,
            "denoisers": denoisers,
            "shipped": shipped,
        }
        out.print_json(data=document)
        return
    from rich.table import Table

    table = Table(title="networks", caption="reach: low-resolution pixels seen, width")
    for heading in ("network", "parameters", "reach", "source"):
        table.add_column(heading)
    for network in networks:
        reach = str(network["receptive_field"])
        table.add_row(network["name"], _params(network), reach, network["source"])
    out.print(table)
    table = Table(title="diffusion denoisers", caption="reach: -, the whole image")
    for heading in ("denoiser", "parameters", "reach", "INT8", "source"):
        table.add_column(heading)
    for denoiser in denoisers:
        reach = str(denoiser["receptive_field"] or "-")
        int8 = "yes" if denoiser["int8"] else "no"
        table.add_row(denoiser["name"], _params(denoiser), reach, int8, denoiser["source"])
    out.print(table)
    table = Table(title="shipped models")
    for heading in ("model", "network", "scale", "files", "PSNR dB"):
        table.add_column(heading)
    for entry in shipped:
        files = "\n".join(
            f"{file['path']} ({file['bytes'] / 1000:.0f} kB)" for file in entry["files"]
        )
        psnr = "\n".join(f"{name} {value}" for name, value in entry["psnr"].items()) or "-"
        network = entry["network"]
        if entry["steps"] is not None:
            network += f"\n{entry['steps']} step{'s' * (entry['steps'] != 1)}"
        table.add_row(entry["name"], network, f"x{entry['scale']}", files, psnr)
    out.print(table)


def _networks() -> list[dict[str, Any]]:
    from edgesr.models import MODELS

    return [
        {
            "name": network.name,
            "title": network.title,
            "params": {str(scale): count for scale, count in network.params.items()},
            "receptive_field": network.receptive_field,
            "source": network.source,
        }
        for network in MODELS.values()
    ]


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


def _shipped() -> list[dict[str, Any]]:
    from edgesr.zoo import ZOO

    return [
        {
            "name": entry.name,
            "network": entry.model,
            "scale": entry.scale,
            "files": [
                {"path": str(path), "bytes": path.stat().st_size}
                for path in entry.files
                if path.is_file()
            ],
            "steps": entry.read_card().get("sampling", {}).get("steps"),
            "psnr": _psnr(entry.read_card()),
        }
        for entry in ZOO.values()
    ]


def _psnr(card: dict[str, Any]) -> dict[str, float]:
    """Return ``dataset protocol`` -> PSNR in dB of what upscales by default, as its card states."""
    if "rows" in card:
        return {
            f"{row['set']} {card['protocol']}": round(row["psnr_y"], 3)
            for row in card["rows"]
            if row["sha256"] == card["run_sha256"] and row["is_usual"]
        }
    evaluations = card.get("evaluations", {})
    return {
        f"{dataset} {protocol}": round(score["psnr"], 3)
        for dataset, evaluation in evaluations.items()
        for protocol, score in evaluation["mean"].items()
    }
