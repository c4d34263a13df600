"""A certificate holds on this machine, and fails for whatever was changed."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgesr.errors import DataError, GateError, MissingDependencyError
from edgesr.export.certificate import VECTORS_SCHEMA, certify, replay
from edgesr.export.op_check import FAMILIES
from edgesr.export.parity import Picture, made_pictures
from edgesr.export.tflite import write_int8
from edgesr.graph.capture import capture
from edgesr.graph.passes import lower
from edgesr.models import build_model
from edgesr.quant.calibrate import CalibrationBatch
from edgesr.quant.ptq import quantize_graph


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2, 24, 24, 3)).float()
    graph = lower(capture(build_model("abpn", 3).eval(), name="abpn"))
    quantized = quantize_graph(graph, [CalibrationBatch(inputs=images)]).quantized
    path = tmp_path_factory.mktemp("certified") / "model.tflite"
    path.write_bytes(write_int8(quantized, io="uint8"))
    certify(path, environment={"cpu_flags": ["avx2"]})
    path.with_name("fixed.tflite").write_bytes(write_int8(quantized, shape=(60, 130)))
    return path


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(original.parent, folder)
    return folder / original.name


def certificate(model: Path) -> Path:
    return model.with_suffix(".certificate.json")


def document(model: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(certificate(model).read_text())
    return content


def test_a_certificate_says_what_was_run(model: Path) -> None:
    found = document(model)
    assert found["schema"] == "edgesr/certificate/1"
    assert found["model"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert found["environment"]["cpu_flags"] == ["avx2"]
    assert found["litert"].startswith("ai_edge_litert ")
    assert list(found["kernels"]) == ["xnnpack", "builtin", "reference"]
    for facts in found["kernels"].values():
        assert (facts["mismatches"], facts["max_error"]) == (0, 0)
        assert facts["values"] > 100_000
        assert len(facts["output_sha256"]) == 64
    digests = [hashlib.sha256(one.pixels.tobytes()).hexdigest() for one in made_pictures(3)]
    assert [one["sha256"] for one in found["inputs"]] == digests
    assert model.with_suffix(".vectors.npz").stat().st_size < 200_000


def test_a_certificate_can_be_replayed_elsewhere(model: Path, tmp_path: Path) -> None:
    moved = shutil.move(model, tmp_path / "other.tflite")
    with pytest.raises(DataError, match="no such file; it belongs to"):
        replay(certificate(model))
    found = replay(certificate(model), model=Path(moved))
    assert found.kernels == ("xnnpack", "builtin", "reference")
    assert found.values > 10_000
    assert replay(certificate(model), model=Path(moved), families=["builtin"]).kernels == (
        "builtin",
    )


@pytest.mark.parametrize("place", [0.1, 0.5, 0.999])
def test_a_model_changed_by_one_byte_fails(model: Path, place: float) -> None:
    content = bytearray(model.read_bytes())
    content[int(place * len(content))] ^= 1
    model.write_bytes(content)
    with pytest.raises(GateError, match="was changed or is another file: SHA-256 is"):
        replay(certificate(model))


def test_changed_vectors_fail(model: Path) -> None:
    with model.with_suffix(".vectors.npz").open("ab") as pack:
        pack.write(b"x")
    with pytest.raises(GateError, match=r"vectors.npz: was changed"):
        replay(certificate(model))


@pytest.mark.parametrize("change", ["pack", "hash"])
def test_other_outputs_than_promised_fail(model: Path, change: str) -> None:
    found = document(model)
    path = model.with_suffix(".vectors.npz")
    if change == "pack":
        with np.load(path) as pack:
            arrays = {name: pack[name].copy() for name in pack.files}
        arrays["builtin_1"][0, 0, 0] ^= 1
        np.savez_compressed(path, allow_pickle=False, **arrays)
        found["vectors"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        found["vectors"]["output_sha256"]["builtin"][1] = "0" * 64
    certificate(model).write_text(json.dumps(found))
    with pytest.raises(GateError, match=r"builtin kernels give other outputs .* in vector 1"):
        replay(certificate(model))


def test_a_fixed_size_has_a_small_pack_too(model: Path) -> None:
    fixed = model.with_name("fixed.tflite")
    found = certify(fixed, environment={})
    assert found.mismatches == 0
    assert found.vectors.stat().st_size < 200_000
    assert replay(found.certificate).values == 2 * 3 * 180 * 390 * 3


def test_damaged_certificates_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="check the path"):
        replay(tmp_path / "none.json")
    for content in ("{", "[]", '{"schema": "edgesr/certificate/1"}', '{"schema": "other"}'):
        certificate(model).write_text(content)
        with pytest.raises(DataError, match=r"no certificate of edgesr verify|schema is other"):
            replay(certificate(model))


def test_pictures_must_fit_the_file(model: Path) -> None:
    grey = Picture(name="grey", pixels=np.zeros((8, 8, 1), np.uint8))
    with pytest.raises(DataError, match="grey: 1 channels, the file takes 3"):
        certify(model, environment={}, pictures=[grey])
    with pytest.raises(DataError, match="no image to compare on"):
        certify(model, environment={}, pictures=[])


def test_a_missing_resolver_is_named(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolvers = {"xnnpack": "AUTO", "builtin": "NONE", "reference": "BUILTIN_REF"}
    monkeypatch.setattr("edgesr.litert.RESOLVERS", resolvers)
    with pytest.raises(MissingDependencyError, match="has no builtin kernels"):
        replay(certificate(model))
    assert replay(certificate(model), families=["xnnpack", "reference"]).vectors == 2


def test_families_are_stored_as_differences_that_take_little_room(model: Path) -> None:
    with np.load(model.with_suffix(".vectors.npz")) as pack:
        arrays = {name: pack[name] for name in pack.files}
    assert str(arrays["schema"]) == VECTORS_SCHEMA
    kept = sum(value.nbytes for name, value in arrays.items() if name.startswith("output_"))
    inputs = sum(value.nbytes for name, value in arrays.items() if name.startswith("input_"))
    assert model.with_suffix(".vectors.npz").stat().st_size < 1.2 * (kept + inputs)
    for name, value in arrays.items():
        if name.startswith(("xnnpack", "builtin", "reference")):
            assert float((value != 0).mean()) < 0.5


def test_packs_of_version_1_are_read(model: Path) -> None:
    path, found = model.with_suffix(".vectors.npz"), document(model)
    with np.load(path) as pack:
        arrays = {name: pack[name] for name in pack.files}
    old = {
        name: value + arrays[f"output_{name[-1]}"] if name.split("_")[0] in FAMILIES else value
        for name, value in arrays.items()
        if not name.startswith("output_")
    }
    np.savez_compressed(path, allow_pickle=False, **{**old, "schema": np.array("edgesr/vectors/1")})
    found["vectors"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    certificate(model).write_text(json.dumps(found))
    assert replay(certificate(model)).values > 0
