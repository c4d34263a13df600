"""The report: what it joins, how it looks to a parser, and in a browser."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgesr.bench.crops import worst_images
from edgesr.bench.page import html
from edgesr.bench.plots import Point, front, scatter
from edgesr.bench.report_data import collect
from edgesr.bench.report_tables import per_image, summary
from edgesr.bench.report_text import comma_separated, markdown
from edgesr.cli import run
from edgesr.errors import DataError
from edgesr.zoo import DEFAULT, ZOO

MakeResult = Callable[..., Path]
SavePhoto = Callable[..., Path]
Files = dict[str, Path]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
VOID = {"meta", "link", "img", "br"}


class _Page(HTMLParser):
    """Checks nesting, and gathers tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def written(model_files: Files, save_photo: SavePhoto, tmp_path: Path) -> Path:
    """Return a page made from real results of two models, with crops and baselines."""
    for seed in range(3):
        save_photo(tmp_path / "set" / f"{seed}.png", 180, 180, seed)
    models = [str(model_files["int8"]), str(model_files["float"])]
    flags = ["--shape", "16x24", "--repeats", "8", "--profile", "--no-memory"]
    measured = tmp_path / "measured.json"
    suite = ["--suite", "mai22", "--data", str(tmp_path / "set")]
    assert run(["bench", *models, *flags, *suite, "-o", str(measured)]) == 0
    page = tmp_path / "report.html"
    images = ["--data", str(tmp_path / "set"), "--crops", "2"]
    assert run(["report", str(measured), "--to", str(page), *images, "--markdown", "--csv"]) == 0
    return page


def test_a_page_is_whole_accessible_and_needs_nothing_else(written: Path) -> None:
    text = written.read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("script") == []
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    addresses = re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^")\s>]+)', text)
    assert {address.split(":")[0] for address in addresses if address[0] != "#"} == {"data"}
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("img")) == 2 * 5
    assert {cell["scope"] for cell in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    targets = {found["href"][1:] for found in page.all("a") if found["href"]}
    assert targets <= set(ids)
    for drawing in page.all("svg"):
        assert drawing["role"] == "img"
        assert set((drawing["aria-labelledby"] or "").split()) <= set(ids)
    regions = [found for found in page.all("div") if found.get("role") == "region"]
    assert all(found["tabindex"] == "0" and found["aria-label"] for found in regions)


def test_colours_have_contrast_in_light_and_dark(written: Path) -> None:
    text = written.read_text()
    light, dark = re.findall(r":root\{([^}]*)\}", text)
    for block in (light, dark):
        colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})", block))
        for name in ("text", "soft", "ours", "other", "bad"):
            for ground in ("back", "panel"):
                assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


def test_markdown_and_csv_are_written_beside(written: Path) -> None:
    text = written.with_suffix(".md").read_text()
    assert text.startswith("# edgesr report")
    assert "| int8.tflite |" in text
    assert "DEPTH_TO_SPACE" in text
    rows = list(csv.DictReader(io.StringIO(written.with_suffix(".csv").read_text())))
    assert [row["image"] for row in rows] == ["0", "1", "2", "(mean)"] * 2
    mean = np.mean([float(row["psnr_db"]) for row in rows[:3]])
    assert float(rows[3]["psnr_db"]) == pytest.approx(mean)


def test_results_of_several_commands_join_by_file_and_hash(
    make_result: MakeResult, tmp_path: Path
) -> None:
    result = make_result(["nets/a.tflite", "nets/b.tflite"], ["one", "two"])
    cost = tmp_path / "cost.json"
    entry = {"name": "a.tflite", "macs": 2_000_000, "params": 5000, "shape": [24, 36]}
    cost.write_text(json.dumps({"schema": "edgesr/cost/1", "models": [entry]}))
    report = collect([result, cost])
    assert [(m.label, m.macs, m.params) for m in report.models] == [
        ("a.tflite", 2_000_000, 5000),
        ("b.tflite", None, None),
    ]
    sheet = summary(report)
    assert sheet.rows[0][:4] == ("a.tflite", "33.000", "0.9000", "+1.500")
    table = per_image(report)
    assert table is not None
    assert table.head == ("image", "bicubic", "a.tflite", "b.tflite")
    assert [row[0] for row in table.rows] == ["one", "two"]


def test_names_keep_the_folders_that_tell_them_apart(make_result: MakeResult) -> None:
    report = collect([make_result(["x/a.tflite", "y/a.tflite", "y/b.tflite"])])
    assert [model.label for model in report.models] == ["x/a.tflite", "y/a.tflite", "b.tflite"]


def test_an_export_report_brings_certificate_and_operators(
    make_result: MakeResult, tmp_path: Path
) -> None:
    export = {
        "schema": "edgesr/export/1",
        "litert": "ai_edge_litert 2.3.0",
        "accepted": True,
        "problems": [],
        "file": "a.tflite",
        "bytes": 1000,
        "sha256": "ab" * 32,
        "model": "ncnet",
        "scale": 3,
        "precision": "int8",
        "io": "uint8",
        "operator_list": ["CONV_2D", "DEPTH_TO_SPACE"],
        "verification": {
            "source": "photographs",
            "images": 4,
            "kernels": "xnnpack",
            "values": 1000,
            "mismatches": 0,
            "psnr": 30.0,
            "psnr_float": 30.05,
            "drop": 0.05,
            "max_drop": 0.1,
            "colour_bias": [0.01, 0.0, -0.01],
        },
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(export))
    report = collect([path, make_result([str(tmp_path / "a.tflite")], ["one"])])
    assert len(report.models) == 1
    text = markdown(report, title="t")
    assert "0 of 1000" in text
    assert "| 1 | DEPTH_TO_SPACE |" in text
    assert "Export certificate of a.tflite" in html(report, title="t")


def test_the_card_of_a_shipped_network_is_a_certificate(make_result: MakeResult) -> None:
    entry = ZOO[DEFAULT]
    if not entry.card.is_file():
        pytest.skip("the shipped network is not in this checkout")
    report = collect([entry.card, make_result([str(entry.tflite)], ["one"])])
    assert len(report.models) == 1
    text = markdown(report, title="t")
    assert "| values that differ from the simulation | 0 of " in text
    assert "PSNR dB on Set5" in text


def test_text_from_results_is_escaped(make_result: MakeResult) -> None:
    report = collect([make_result(['<script>alert("x")</script>|.tflite'], ["<b>&"])])
    page = html(report, title="<i>")
    assert "<script>" not in page
    assert "<b>&amp;" not in page.replace("&lt;b&gt;&amp;", "")
    assert "<script>" not in markdown(report, title="t")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ('{"schema": "edgesr/data-list/1"}', "a report has no place for"),
        ('{"schema": "edgesr/bench/1"}', "its timings are damaged"),
        ('{"schema": "edgesr/export/1"}', "is damaged"),
        (
            '{"schema": "edgesr/eval/1", "evaluations": [{"upscaler": "a", "images": []}]}',
            "no images",
        ),
        ('{"schema": "edgesr/bench/1", "timings": [], "x": Infinity}', "it holds Infinity"),
    ],
)
def test_damaged_results_exit_3(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "result.json"
    path.write_text(text)
    assert run(["report", str(path), "--to", str(tmp_path / "r.html")]) == 3
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r.html").exists()


def test_other_mistakes_are_told(
    make_result: MakeResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report"]) == 2
    assert run(["report", str(make_result()), "--to", str(tmp_path / "r.pdf")]) == 2
    page = ["--to", str(tmp_path / "r.html")]
    assert run(["report", str(make_result()), *page, "--baselines", "none"]) == 3
    assert "is unknown" in capsys.readouterr().err
    with pytest.raises(DataError, match="no result has protocol 'classic-y'; they have mai"):
        collect([make_result(None, ["one"])], protocol="classic-y")


def test_models_that_are_gone_are_named_where_their_pictures_would_be(
    make_result: MakeResult, tmp_path: Path, save_photo: SavePhoto
) -> None:
    save_photo(tmp_path / "set" / "one.png", 60, 60)
    page = tmp_path / "r.html"
    path = make_result(["gone.tflite"], ["one"])
    assert run(["report", str(path), "--to", str(page), "--data", str(tmp_path / "set")]) == 0
    assert "no crops of gone.tflite" in page.read_text()


def test_the_worst_images_are_those_with_the_least_gain(make_result: MakeResult) -> None:
    report = collect([make_result(["a", "b"], [str(number) for number in range(10)])])
    gains = {image.name: image for image in report.models[0].images["mai"]}
    (_, first), (_, second) = worst_images(report, 2)
    ranked = sorted(gains, key=lambda name: (gains[name].psnr or 0) - (gains[name].bicubic or 0))
    assert first == ranked[0]
    assert second in ranked[:2]


def test_the_front_holds_what_nothing_beats() -> None:
    points = [
        Point(label=label, x=x, y=y)
        for label, x, y in [("a", 1, 30), ("b", 2, 29), ("c", 3, 31), ("d", 3, 30.5), ("e", 9, 31)]
    ]
    assert [point.label for point in front(points)] == ["a", "c"]
    for few in (points, points[:1], points[:1] * 2):
        drawing = scatter(few, name="p", title="t", x_title="x", y_title="y")
        assert "nan" not in drawing
        _Page().feed(drawing)


def test_ten_models_and_a_hundred_images_stay_small_and_quick(
    make_result: MakeResult, model_files: Files, tmp_path: Path, save_photo: SavePhoto
) -> None:
    images = [f"{number:03}" for number in range(100)]
    for number, image in enumerate(images):
        save_photo(tmp_path / "set" / f"{image}.png", 240, 240, number)
    files = [
        str(shutil.copy(model_files["int8"], tmp_path / f"net{number}.tflite"))
        for number in range(10)
    ]
    path = make_result(files, images)
    page = tmp_path / "ten.html"
    began = time.perf_counter()
    assert run(["report", str(path), "--to", str(page), "--data", str(tmp_path / "set")]) == 0
    assert time.perf_counter() - began < 60
    assert page.stat().st_size < 15e6
    assert page.read_text().count("<img ") == 6 * (10 + 3)


def test_pages_that_would_grow_too_large_lose_pictures(
    written: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("edgesr.bench.crops.MAX_BYTES", 150_000)
    page = tmp_path / "capped.html"
    images = ["--data", str(tmp_path / "set"), "--crops", "3"]
    assert run(["report", str(written.with_name("measured.json")), "--to", str(page), *images]) == 0
    assert "the page would grow too large" in page.read_text()


@pytest.mark.parametrize(("scheme", "setting"), [("light", 1), ("dark", 0)])
def test_a_browser_shows_it_without_errors(
    scheme: str, setting: int, written: Path, tmp_path: Path
) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("needs chromium or chrome")
    shot = tmp_path / f"{scheme}.png"
    done = subprocess.run(  # noqa: S603 - a browser that was found
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--window-size=1000,1500",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={setting}",
            f"--screenshot={shot}",
            written.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if not shot.is_file():
        pytest.skip(f"the browser takes no screenshot here: {done.stderr[-200:]}")
    assert "CONSOLE" not in done.stderr
    pixels = np.asarray(Image.open(shot).convert("L"))
    assert (np.median(pixels) > 240) == (scheme == "light")
    assert (np.median(pixels) < 40) == (scheme == "dark")
    assert pixels.std() > 10


def test_the_page_and_its_csv_do_not_change_by_themselves(make_result: MakeResult) -> None:
    path = make_result(["a", "b"], ["one", "two"])
    first, second = (collect([path]) for _ in range(2))
    assert html(first, title="t") == html(second, title="t")
    assert comma_separated(first) == comma_separated(second)


@pytest.mark.parametrize("command", ["bench", "report"])
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        "import sys\nfrom edgesr.cli import run\n"
        f"assert run([{command!r}, '--help']) == 0\n"
        "assert {'torch', 'ai_edge_litert', 'numpy'}.isdisjoint(sys.modules)"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-W", "error", "-c", code], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
