"""A small exported network with its report, weights and images."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgesr.export.tflite import write_float32, write_int8
from edgesr.files import sha256_file
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.models.checkpoint import save_weights
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph

SCALE = 3


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with model.tflite, its report model.json, float.tflite, fixed.tflite and weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("exported")
    module = build_model("ncnet", SCALE)
    save_weights(folder / "best.safetensors", module.state_dict(), model="ncnet", scale=SCALE)
    graph = lower(capture(module, name="ncnet"))
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))).float()
    quantized = quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized
    (folder / "model.tflite").write_bytes(write_int8(quantized, io="uint8"))
    (folder / "fixed.tflite").write_bytes(write_int8(quantized, io="uint8", shape=(20, 24)))
    (folder / "float.tflite").write_bytes(write_float32(graph))
    write_report(folder / "model.tflite", mismatches=0)
    with torch.no_grad():
        module.get_parameter("body.12.bias").fill_(float("nan"))
    (folder / "nan.tflite").write_bytes(write_float32(lower(capture(module, name="ncnet"))))
    return folder


def write_report(model: Path, **verification: object) -> None:
    facts = {"kernels": "xnnpack", "values": 1000, **verification}
    report = {"schema": "edgesr/export/1", "sha256": sha256_file(model), "verification": facts}
    model.with_suffix(".json").write_text(json.dumps(report))


@pytest.fixture
def workplace(
    tmp_path: Path,
    exported: Path,
    save_photo: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Current folder with the exported files and ``images``."""
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    for seed in range(6):
        save_photo(tmp_path / "images" / f"{seed}.png", 60, 72, seed)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    return tmp_path
