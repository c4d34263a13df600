"""A run as one HTML file: its curves and its samples; no script, no network."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from edgesr.charts import Line, line_chart
from edgesr.files import write_text
from edgesr.train.runlog import LOG_FILE, SAMPLES_FOLDER
from edgesr.train.validate import PSNR_KEY

PAGE_FILE = "samples.html"
_MOST_GRIDS = 8
_MOST_POINTS = 300
_STYLE = """
:root{color-scheme:light dark;--back:#fff;--text:#1a1d21;--soft:#565d66;--line:#d4d9df;
--panel:#f5f7f9;--mark:#0a58ca}
@media (prefers-color-scheme:dark){:root{--back:#14171a;--text:#e7eaed;--soft:#a9b1ba;
--line:#3a4149;--panel:#1d2125;--mark:#79b8ff}}
body{margin:0 auto;max-width:1180px;padding:20px;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:18px}
figure{margin:0 0 18px}.plots figure{background:var(--panel);border:1px solid var(--line);
border-radius:6px;padding:10px}figcaption{font-size:.875rem;color:var(--soft)}
.plot{width:100%;height:auto;display:block}.plot text{fill:var(--soft);font-size:12px}
.plot .grid line{stroke:var(--line)}.plot .curve{fill:none;stroke:var(--mark);stroke-width:2}
.plot circle{fill:var(--mark)}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;text-align:right;border-top:1px solid var(--line)}
.samples{overflow-x:auto}.samples img{display:block;image-rendering:pixelated}
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_page(folder: Path, *, title: str) -> None:
    """Write ``samples.html`` of the run in ``folder`` from its log and pictures, atomically.

    Of many pictures it holds eight, evenly spaced, the newest first.

    Args:
        folder: holds ``log.jsonl`` and ``samples/``.
        title: of the page.
    """
    events = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
    grids = sorted((folder / SAMPLES_FOLDER).glob("step_*.png"))
    write_text(folder / PAGE_FILE, _page(title, events, grids))


def _page(title: str, events: Sequence[Mapping[str, Any]], grids: Sequence[Path]) -> str:
    charts = [
        _chart(events, "train", "loss", "Training loss", "loss in grey levels"),
        _chart(events, "validate", PSNR_KEY, "Held-out images", "PSNR dB (mai)"),
    ]
    tables = [
        _table(events, "loss_by_timestep", "Loss by timestep", "timestep"),
        _table(events, "loss_parts", "Parts of the loss", "part"),
    ]
    chosen = np.linspace(0, len(grids) - 1, min(len(grids), _MOST_GRIDS)).round().astype(int)
    pictures = [_picture(grids[index]) for index in reversed(chosen.tolist())]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<div class="plots">{"".join(charts)}</div>{"".join(tables)}'
        f'<h2>Samples</h2><div class="samples">{"".join(pictures)}</div></body></html>\n'
    )


def _chart(
    events: Sequence[Mapping[str, Any]], kind: str, key: str, title: str, y_title: str
) -> str:
    # a resumed run writes some steps again: the last word counts
    found = {one["step"]: one[key] for one in events if one["event"] == kind and key in one}
    shown = [(float(step), found[step]) for step in sorted(found) if math.isfinite(found[step])]
    line = _thinned(shown)
    if not line:
        return ""
    drawn = line_chart(line, name=kind, title=title, x_title="step", y_title=y_title)
    return f"<figure>{drawn}<figcaption>{escape(title)}</figcaption></figure>"


def _thinned(line: Line) -> Line:
    """Return means of neighbours where there are more points than one can see."""
    groups = np.array_split(np.asarray(line), min(len(line), _MOST_POINTS)) if line else []
    return [(float(group[:, 0].mean()), float(group[:, 1].mean())) for group in groups]


def _table(events: Sequence[Mapping[str, Any]], key: str, title: str, head: str) -> str:
    """Return the last figures of ``key``; a label that was not seen of late keeps its older one."""
    last: dict[str, float] = {}
    for event in events:
        last |= event.get(key, {})
    if not last:
        return ""
    order = sorted(last, key=lambda label: int(label.split("-")[0]) if label[0].isdigit() else 0)
    names = "".join(f'<th scope="col">{escape(label)}</th>' for label in order)
    cells = "".join(f"<td>{last[label]:.4g}</td>" for label in order)
    return (
        f"<h2>{escape(title)}</h2><table><tr><th scope=row>{escape(head)}</th>{names}</tr>"
        f"<tr><th scope=row>latest mean</th>{cells}</tr></table>"
    )


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    step = int(path.stem.removeprefix("step_"))
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="samples of step {step}">'
        f"<figcaption>step {step}</figcaption></figure>"
    )
