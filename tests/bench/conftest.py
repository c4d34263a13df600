"""Small files that the exporter makes, for timing and reports."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edgesr.export.tflite import write_float32, write_int8
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph

MakeResult = Callable[..., Path]


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """NCNet x3 with random weights: ``int8``, ``float``, ``weights``, and ``x2`` of scale 2."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = build_model("ncnet", 3).eval()
    graph = lower(capture(network, name="ncnet"))
    images = torch.randint(0, 256, (2, 24, 24, 3)).float()
    quantized = quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized
    files = {
        "int8": folder / "int8.tflite",
        "float": folder / "float.tflite",
        "weights": folder / "net.safetensors",
        "x2": folder / "x2.tflite",
        "fixed": folder / "fixed.tflite",
    }
    files["int8"].write_bytes(write_int8(quantized))
    files["float"].write_bytes(write_float32(graph))
    files["fixed"].write_bytes(write_int8(quantized, shape=(16, 24)))
    other = lower(capture(build_model("ncnet", 2).eval(), name="ncnet"))
    files["x2"].write_bytes(write_float32(other))
    save_weights(files["weights"], network.state_dict(), model="ncnet", scale=3)
    return files


@pytest.fixture
def make_result(tmp_path: Path) -> MakeResult:
    """Write a made-up ``bench`` result: ``make_result(names, images, **changes)``."""

    def make(
        names: list[str] | None = None, images: list[str] | None = None, **changes: Any
    ) -> Path:
        chosen = names or ["a.tflite", "b.tflite"]
        document: dict[str, Any] = {
            "schema": "edgesr/bench/1",
            "what": "inference",
            "shape": "24x36",
            "threads": 1,
            "environment": {"cpu": "made up", "cores": 2, "load_1min": 0.1, "packages": {}},
            "overhead": 0.001,
            "timings": [_timing(name, 5.0 * (1 + place)) for place, name in enumerate(chosen)],
            "failures": [],
        }
        if images is not None:
            document["evaluations"] = [
                _evaluation(name, images, place) for place, name in enumerate(chosen)
            ]
        document.update(changes)
        path = tmp_path / f"result{len(list(tmp_path.glob('result*.json')))}.json"
        path.write_text(json.dumps(document))
        return path

    return make


def _timing(name: str, middle: float) -> dict[str, Any]:
    wall = [middle * (1 + 0.01 * ((7 * step) % 5 - 2)) for step in range(15)]
    return {
        "name": name,
        "file": name,
        "bytes": int(1000 * middle),
        "sha256": None,
        "median_ms": middle,
        "wall_ms": wall,
        "cpu_ms": wall,
    }


def _evaluation(name: str, images: list[str], place: int) -> dict[str, Any]:
    scores = [
        {
            "name": image,
            "scores": {"mai": {"psnr": 30.0 + place + number % 7, "ssim": 0.9}},
            "bicubic": {"mai": {"psnr": 29.5 + number % 5, "ssim": 0.8}},
        }
        for number, image in enumerate(images)
    ]
    return {
        "upscaler": name,
        "scale": 3,
        "dataset": "made-up images",
        "colour_bias": [0.1, 0.0, -0.1],
        "mean": {"mai": {"psnr": 33.0 + place, "ssim": 0.9}},
        "bicubic": {"mai": {"psnr": 31.5, "ssim": 0.8}},
        "images": scores,
    }
