"""``edgesr debug`` at the command line."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgesr.cli import run
from edgesr.cli.probing import check_page
from edgesr.debug.debugger import DebugRequest, debug_run
from edgesr.debug.page import html
from edgesr.errors import DatasetError, GraphError
from edgesr.models import build_model
from edgesr.models.checkpoint import load_model, save_weights
from edgesr.models.quantized import float_graph, save_quantized
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph
from edgesr.zoo import DEFAULT, ZOO

VOID = {"meta", "link", "img", "rect"}


class Balanced(HTMLParser):
    """Checks that tags close in order and collects what a browser would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for key, value in attrs if key in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_weights(path, build_model("abpn", 2).state_dict(), model="abpn", scale=2)
    return path


@pytest.fixture
def arguments(checkpoint: Path, tmp_path: Path, save_photo: Callable[..., Path]) -> list[str]:
    for number in range(4):
        save_photo(tmp_path / "photos" / f"{number}.png", 64, 80, seed=number)
    photos = str(tmp_path / "photos")
    return ["debug", str(checkpoint), "--int8", "--calibration", photos, "--crops", "2"]


def test_it_ranks_what_was_rounded_and_leaves_a_page_with_its_figures(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "out" / "report.html"
    assert run([*arguments, "--html", str(page)]) == 0
    captured = capsys.readouterr()
    assert "PSNR to float" in captured.out
    assert "kept in float" in captured.out
    assert "report.json" in captured.out
    assert "debugging" in captured.err
    parser = Balanced()
    text = page.read_text()
    parser.feed(text)
    assert not parser.open
    assert "script" not in parser.tags
    assert all(re.match("data:|#", source) for source in parser.sources)
    assert sum(source.startswith("data:image/png") for source in parser.sources) >= 3
    assert "amplified" in text
    assert "prefers-color-scheme:dark" in text
    document = json.loads(page.with_suffix(".json").read_text())
    assert document["schema"] == "edgesr/debug/1"
    assert [one["rank"] for one in document["suspects"]] == list(
        range(1, len(document["suspects"]) + 1)
    )
    assert {one["name"] for one in document["tensors"]} > {"lr", "sr"}
    assert all(one["remedy"]["text"] for one in document["suspects"])
    assert len(document["images"]["crops"]) <= 2
    assert document["worst"][0]["image"] in {"0", "1", "2", "3"}
    check_page(page, "edgesr/debug/")  # an earlier report may be written over


def test_json_is_one_document_on_stdout(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json", "--observer", "minmax"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["observer"], document["trained"]) == ("minmax", False)
    layers = document["layers"]
    gains = [max(one["gain_tensor_db"], one["gain_weights_db"] or 0) for one in layers]
    assert gains == sorted(gains, reverse=True)


def test_trained_integers_are_taken_as_they_are(
    checkpoint: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = load_model(checkpoint)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))).float()
    graph = float_graph(teacher.module, "abpn")
    integers = quantize_graph(graph, [CalibrationBatch(inputs=noise)]).quantized
    trained = tmp_path / "trained.safetensors"
    save_quantized(trained, integers, teacher, {})
    photos = str(tmp_path / "photos")
    assert run(["debug", str(trained), "--int8", "--data", photos, "--crops", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["trained"], document["calibration"]) == (True, None)
    totals = document["totals"]
    assert totals["psnr_to_origin"] == pytest.approx(totals["psnr_to_float"], abs=1e-2)
    assert run([arguments[0], str(trained), *arguments[2:]]) == 3
    assert "drop --calibration and --observer" in capsys.readouterr().err


def test_names_are_text_on_the_page(arguments: list[str], tmp_path: Path) -> None:
    found = debug_run(arguments[1], DebugRequest(calibration=tmp_path / "photos", crops=1))
    probe = found.probed.probe
    odd = replace(probe.suspects[0], layers=("<b>&",))
    probe = replace(probe, suspects=(odd, *probe.suspects[1:]))
    text = html(replace(found, probed=replace(found.probed, probe=probe)), [])
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;" in text


def test_crops_are_equal_parts_that_do_not_overlap(
    checkpoint: Path, tmp_path: Path, save_photo: Callable[..., Path]
) -> None:
    for number in range(2):
        save_photo(tmp_path / "large" / f"{number}.png", 120, 280, seed=number)
    request = DebugRequest(data=tmp_path / "large", calibration=tmp_path / "large", crops=3)
    with pytest.raises(DatasetError, match="no image is left to calibrate with"):
        debug_run(checkpoint, request)
    save_photo(tmp_path / "train" / "a.png", 64, 64)
    found = debug_run(checkpoint, replace(request, calibration=tmp_path / "train"))
    places = [(one.image, one.left, one.top, one.width, one.height) for one in found.crops]
    assert places == [("0", 0, 0, 70, 60), ("1", 0, 0, 70, 60), ("0", 70, 0, 70, 60)]


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["debug", "net.safetensors"], 2, "give --int8"),
        (["debug", "--int8"], 2, ""),
        (["debug", "nowhere", "--int8"], 3, f"name a path or one of {next(iter(ZOO))}"),
        (["debug", str(ZOO[DEFAULT].tflite), "--int8"], 3, "holds no float weights"),
        (["debug", "x", "--int8", "--html", "page.txt"], 2, "ends in .html"),
        (["debug", "x", "--int8", "--observer", "best"], 2, "--observer best is unknown"),
        (["debug", "x", "--int8", "--crops", "0"], 2, ""),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    flags: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags) == code
    assert message in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "model.json").write_text('{"schema": "edgesr/export/1"}')
    for page, message in (
        (tmp_path / "file" / "page.html", "cannot be written"),
        (tmp_path / "model.html", "no earlier report"),
    ):
        assert run([*arguments, "--html", str(page)]) == 3
        captured = capsys.readouterr()
        assert message in captured.err
        assert "debugging" not in captured.err
    assert "export" in (tmp_path / "model.json").read_text()


def test_plain_state_dicts_need_model_and_scale(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(build_model("abpn", 2).state_dict(), tmp_path / "net.pth")
    command = [arguments[0], str(tmp_path / "net.pth"), *arguments[2:]]
    assert run(command) == 3
    assert "give --model" in capsys.readouterr().err
    assert run([*command, "--model", "abpn", "--scale", "2"]) == 0


def test_images_that_are_missing_or_tiny_are_named(
    checkpoint: Path,
    tmp_path: Path,
    save_photo: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    base = ["debug", str(checkpoint), "--int8", "--data"]
    assert run([*base, str(tmp_path / "empty")]) == 3
    assert "empty" in capsys.readouterr().err
    save_photo(tmp_path / "tiny" / "a.png", 20, 40)
    assert run([*base, str(tmp_path / "tiny")]) == 3
    assert "below 16 pixels" in capsys.readouterr().err


class Clipped(nn.Module):
    def forward(self, lr: Tensor) -> Tensor:
        return nn.functional.interpolate(lr.clamp(3, 9), scale_factor=2)


def test_a_network_without_int8_form_is_refused_by_name(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = float_graph(Clipped(), "clipped")
    monkeypatch.setattr("edgesr.debug.debugger.float_graph", lambda *_: graph)
    assert run(arguments) == 3
    assert "clip to [3.0, 9.0] inside the network has no int8 form" in capsys.readouterr().err


def test_a_network_that_overflows_is_named_by_tensor(tmp_path: Path, arguments: list[str]) -> None:
    assert arguments
    state = {
        name: value * 1e20 if name.endswith("weight") else value
        for name, value in build_model("abpn", 2).state_dict().items()
    }
    path = tmp_path / "loud.safetensors"
    save_weights(path, state, model="abpn", scale=2)
    photos = tmp_path / "photos"
    with pytest.raises(GraphError, match=r"tensor '.+' \(layer .+\) takes NaN or infinity"):
        debug_run(path, DebugRequest(calibration=photos))
