"""What ``edgesr device`` shows on a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from edgesr.android import rows
from edgesr.android.comparison import Comparison
from edgesr.cli.console import out

_NONE = "-"


def show_list(devices: Sequence[Mapping[str, Any]]) -> None:
    """Print one row a phone."""
    if not devices:
        out.print("adb sees no device; switch on USB debugging and connect the phone")
        return
    table = Table()
    for heading in ("serial", "model", "SoC", "Android", "ABI", "state"):
        table.add_column(heading)
    for one in devices:
        android = f"{one['android']} (API {one['api']})" if one["android"] else _NONE
        state = one["state"] + (f": {one['todo']}" if one["todo"] else "")
        state += ", emulated" if one["emulated"] else ""
        cells = (one["serial"], one["model"], one["soc"], android, one["abi"], state)
        table.add_row(*(Text(cell or _NONE) for cell in cells))
    out.print(table)


def show_info(document: Mapping[str, Any]) -> None:
    """Print what a phone is and how it is."""
    state, battery = document["state"], document["state"]["battery"]
    runner = document["runner"]
    facts: dict[str, Any] = {
        "model": " ".join(filter(None, (document["manufacturer"], document["model"]))),
        "SoC": document["soc"],
        "NPU": _npu(document["chip"]),
        "Android": f"{document['android']}, API {document['api']}, patch {document['patch']}",
        "ABI": ", ".join(document["abis"]),
        "kernel": document["kernel"],
        "GPU": document["gpu"],
        "cores": "; ".join(
            f"{len(one['cpus'])} x {one['max_khz'] / 1e6:.2f} GHz (cpu "
            f"{','.join(map(str, one['cpus']))})"
            for one in document["clusters"]
        ),
        "governor": ", ".join(state["governors"]),
        "NNAPI services": ", ".join(document["nnapi_services"]),
        "free": f"{document['free_kb'] // 1024} MiB" if document["free_kb"] else None,
        "memory": f"{document['memory_kb'] // 1024} MiB" if document["memory_kb"] else None,
        "thermal status": state["thermal_status"],
        "temperatures": ", ".join(f"{k} {v:.1f} °C" for k, v in state["temperatures"].items()),
        "battery": battery
        and f"{battery['level']} %, {battery['celsius']} °C, "
        + ("on power" if battery["powered"] else "not on power"),
        "runner": runner and f"{runner['runner']} (sha256 {runner['sha256'][:12]}…)",
        "emulated": "yes: its times mean nothing" if document["emulated"] else "no",
        "hash": document["hash"],
    }
    for name, value in facts.items():
        shown = _NONE if value in {None, ""} else value
        out.print(f"{name:15} {shown}", markup=False, soft_wrap=True)
    if document["chip"] and "note" in document["chip"]:
        out.print(f"note: {document['chip']['note']}", markup=False, soft_wrap=True)
    if runner is None:
        out.print("no runner is set up: edgesr device setup --runner PATH", markup=False)


def _npu(chip: Mapping[str, Any] | None) -> str | None:
    """Return the NPU of a chip that android_bench/devices knows, and how to reach it."""
    if chip is None:
        return None
    memory = f"{chip['vtcm_mb']} MiB of its own" if "vtcm_mb" in chip else None
    runtime = f"NeuroPilot {chip['neuropilot']}" if "neuropilot" in chip else None
    told = ", ".join(filter(None, (chip.get("hexagon"), runtime, memory)))
    return f"{chip['npu']} {told}".strip() + f"; --backend {' or '.join(chip['backends'])}"


def show_result(document: Mapping[str, Any]) -> None:
    """Print one row a case under the line of the phone, and what weakens the numbers."""
    out.print(rows.title(document), markup=False, soft_wrap=True)
    table = Table()
    for place, heading in enumerate(rows.HEAD):
        words = place in rows.TEXT
        table.add_column(heading, justify="left" if words else "right", overflow="fold")
    for row in rows.rows(document):
        table.add_row(*map(Text, row))
    out.print(table)
    for note in rows.notes(document):
        out.print(f"note: {note}", markup=False, soft_wrap=True)


def show_comparison(found: Comparison) -> None:
    """Print one row a case in both results."""
    table = Table()
    for heading in ("case", "before ms", "after ms", "ratio", "interval", "verdict"):
        table.add_column(heading)
    for one in found.changes:
        span = one.span
        table.add_row(
            Text(one.case),
            rows.milli(one.before_us),
            rows.milli(one.after_us),
            f"{span.ratio:.3f}",
            f"{span.low:.3f} to {span.high:.3f} ({span.confidence:.0%})",
            Text(one.verdict + (f" ({'; '.join(one.notes)})" if one.notes else "")),
        )
    out.print(table)
    for note in found.notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    for name in found.only:
        out.print(f"only in one: {name}", markup=False, soft_wrap=True)
