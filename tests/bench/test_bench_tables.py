"""What ``edgesr bench`` prints: every column, however narrow the terminal is."""

from io import StringIO

import pytest
from rich.console import Console

from edgesr.bench.timing import Timing
from edgesr.cli import bench_tables

_TITLES = ("median ms", "min", "p5-p90", "CPU ms", "time ratio (99 % conf.)")


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_column_is_cut_off_at_any_width(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    monkeypatch.setattr(bench_tables, "out", Console(file=stream, width=width))
    names = ("ncnet_x3_int8.tflite", "edge_s_x3_int8.tflite")
    timings = [
        Timing(name=name, wall_ms=tuple(base + 0.1 * i for i in range(9)), cpu_ms=(base,) * 9)
        for name, base in zip(names, (1200.0, 600.0), strict=True)
    ]
    document = {
        "what": "inference",
        "timings": [
            {
                "name": one.name,
                "role": "result",
                "wall_ms": one.wall_ms,
                "cpu_ms": one.cpu_ms,
                "memory": {"model_rss_mib": 159.7, "arena_mib": 92.2},
                "cost": {"num_steps": 4, "macs": 12e9, "total_macs": 48e9},
                "operators": [],
            }
            for one in timings
        ],
    }
    monkeypatch.setattr(bench_tables, "timings_of", lambda *_: {one.name: one for one in timings})
    monkeypatch.setattr(bench_tables, "_about", lambda *_: "")
    monkeypatch.setattr(bench_tables, "_doubts", lambda *_: [])
    bench_tables.show(document, samples=None)
    printed = stream.getvalue()
    lines = printed.splitlines()
    assert max(len(line) for line in lines if "│" in line) <= width
    assert "…" not in printed
    for title in (*_TITLES, "memory MiB", "steps", "ms a step", "GMAC a step, in all"):
        assert any(title in line for line in lines)
    assert sum("0.50 (0.50-0.50)" in line for line in lines) == 1
    assert sum("12.00, 48.00" in line for line in lines) == 2
    assert sum("contender" in line for line in lines) == {80: 4, 120: 3, 200: 1}[width]
