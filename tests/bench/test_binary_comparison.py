"""Float32, INT8 and one bit of a denoiser in one run: timed by `bench`, and compared."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from edgesr.bench.binary_comparison import main
from edgesr.bench.binary_comparison_page import MARKS, comparison_section, findings
from edgesr.bench.binary_trio import network_facts, open_trio
from edgesr.bench.cost_binary import binary_cost
from edgesr.bench.cost_denoiser import packed_cost
from edgesr.bench.inference import Request, measure
from edgesr.bench.runtime import contenders
from edgesr.binary.style import StyleChoice
from edgesr.cli import run
from edgesr.errors import DataError, UsageError
from edgesr.export.binary import export_binary
from edgesr.models.denoiser_files import Schedule, load_denoiser, save_denoiser
from edgesr.models.denoisers import build_denoiser
from edgesr.upscalers.packed import load_packed
from tests.export.stepwise_case import restless_case

ROOT = Path(__file__).resolve().parents[2]
ONE_BIT = "resshift_px_s_1bit"


@dataclass(frozen=True, kw_only=True)
class Files:
    twin: Path
    int8: Path
    one_bit: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Two denoisers that nobody trained, x2 in two steps; the float one as INT8 as well."""
    folder = tmp_path_factory.mktemp("comparison")
    case = restless_case(str(folder))
    int8 = folder / "twin.tflite"
    int8.write_bytes(case.content)
    torch.manual_seed(0)
    weights = folder / "bits.safetensors"
    save_denoiser(
        weights,
        build_denoiser(ONE_BIT, 2).state_dict(),
        model=ONE_BIT,
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 2}),
        prediction="residual",
        metadata={"steps": "5"},
    )
    export_binary(load_denoiser(weights), weights.with_suffix(".esb"))
    return Files(twin=case.loaded.path, int8=int8, one_bit=weights.with_suffix(".esb"))


def test_bench_takes_packed_bits_beside_the_others(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    models: dict[str, Path | bytes] = {
        "bits": files.one_bit,
        "float": files.twin,
        "int8": files.int8,
    }
    document = measure(Request(models=models, shape=(16, 24), repeats=2, memory=False))
    assert not document["failures"]
    rows = {entry["name"]: entry for entry in document["timings"]}
    assert [rows[name]["runtime"] for name in models] == ["packed", "torch", "xnnpack"]
    assert {entry["cost"]["num_steps"] for entry in rows.values()} == {2}
    assert rows["bits"]["bytes"] == files.one_bit.stat().st_size
    assert rows["bits"]["cost"]["params"] == 246_988
    from edgesr.cli.bench_tables import show

    show(document, samples=None)
    assert "ms a step" in capsys.readouterr().out


def test_costs_are_those_of_the_style_of_the_file(files: Files, tmp_path: Path) -> None:
    """Without shift, activation and groups, but with a timestep between the convolutions."""
    choice = StyleChoice(name="bnn")
    network = build_denoiser(ONE_BIT, 2, choice)
    weights = tmp_path / "bnn.safetensors"
    save_denoiser(
        weights,
        network.state_dict(),
        model=ONE_BIT,
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 2}),
        prediction="residual",
        style=choice,
    )
    packed = weights.with_suffix(".esb")
    export_binary(load_denoiser(weights), packed)
    params = sum(one.numel() for one in network.parameters())
    assert params != 246_988
    loaded = load_packed(packed)
    assert packed_cost(loaded, shape=(16, 16)).step.params == params
    facts = network_facts(open_trio(files.twin, files.int8, packed), (16, 16))
    assert facts[2]["rule"]["params"] == binary_cost(network, shape=(32, 32)).paper_params


def test_the_command_counts_the_steps_that_are_asked_for(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--shape", "16x16", "--repeats", "1", "--steps", "1", "--no-memory", "--json"]
    assert run(["bench", str(files.one_bit), *flags]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["timings"]
    assert (entry["runtime"], entry["cost"]["num_steps"]) == ("packed", 1)


def test_runtimes_that_do_not_run_packed_bits_are_refused(files: Files) -> None:
    with pytest.raises(UsageError, match="runs on packed, not on xnnpack"):
        contenders({"bits": files.one_bit}, runtimes=["xnnpack"])
    steps = contenders({"steps": files.int8}, runtimes=["builtin"])
    assert steps[0].runtime == "builtin"
    with pytest.raises(DataError, match="runs on xnnpack; drop --runtime builtin"):
        measure_one(files.int8)


def measure_one(path: Path) -> dict[str, Any]:
    request = Request(
        models={"one": path}, shape=(16, 16), repeats=1, memory=False, runtimes=("builtin",)
    )
    return measure(request)


def test_the_comparison_holds_quality_bytes_and_times(
    files: Files, tmp_path: Path, save_photo: Callable[..., Path]
) -> None:
    hr, output, page = tmp_path / "hr", tmp_path / "results.json", tmp_path / "page.md"
    for seed in range(2):
        save_photo(hr / f"{seed}.png", 184, 184, seed)
    trio = (files.twin, files.int8, files.one_bit)
    main(*trio, data=(hr,), shape=(16, 16), repeats=2, output=output)
    document = json.loads(output.read_text())
    sizes = {row["name"]: row["bytes"] for row in document["networks"]}
    assert sizes["1-bit"] == files.one_bit.stat().st_size < sizes["int8"] < sizes["float32"]
    (found,) = document["sets"].values()
    assert [row["name"] for row in found["rows"]] == ["bicubic", "float32", "int8", "1-bit"]
    assert found["rows"][1]["to_twin"][0] == 0.0
    rules = {row["name"]: row["rule"] for row in document["networks"]}
    assert rules["1-bit"]["ops"] < rules["float32"]["ops"]
    for row in document["times"]:
        assert row["image"]["median_cpu_ms"] > row["step"]["median_cpu_ms"]
    main(*trio, data=(hr,), shape=(16, 16), repeats=2, output=output)
    assert json.loads(output.read_text()) == document  # nothing is measured twice
    with pytest.raises(DataError, match="is of other files or another --shape"):
        main(*trio, data=(hr,), shape=(16, 24), repeats=2, output=output)
    with pytest.raises(DataError, match="holds hr of 2 images, not of 1"):
        main(*trio, data=(hr,), limit=1, shape=(16, 16), repeats=2, output=output)
    with pytest.raises(DataError, match="two folders are named hr"):
        main(*trio, data=(hr, hr), shape=(16, 16), repeats=2, output=output)
    page.write_text(f"before\n{MARKS[0]}\n{MARKS[1]}\nafter\n")
    main(output=output, docs=page)
    text = page.read_text()
    assert comparison_section(document) in text
    assert "not one budget" in text  # the float one says nothing of its training


def test_files_that_do_other_work_are_refused(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_denoiser(
        other,
        build_denoiser("resshift_px_s", 2).state_dict(),
        model="resshift_px_s",
        scale=2,
        schedule=Schedule(name="resshift", parameters={"num_steps": 4}),
        prediction="residual",
    )
    with pytest.raises(DataError, match="scales or steps differ"):
        open_trio(other, files.int8, files.one_bit)
    with pytest.raises(DataError, match="name the float denoiser"):
        main(files.twin)


def made_up(psnr: float, times: float) -> dict[str, Any]:
    """A document whose one-bit network has ``psnr`` dB and is ``times`` as fast as INT8."""
    metrics = dict.fromkeys(
        ("ms_ssim", "vif", "gmsd", "spectrum_distance_db", "high_frequency_ratio"), 0.5
    )
    quality = {"bicubic": 25.0, "float32": 27.0, "int8": 26.9, "1-bit": psnr}
    rows = [
        {"name": name, "psnr_y": db, "ssim_y": 0.8, **metrics, "to_twin": [db - 27.0] * 3}
        for name, db in quality.items()
    ]
    speed = {"float32": 0.5, "int8": 1.0, "1-bit": times}
    clock = {
        name: {
            "median_cpu_ms": 10.0 / fast,
            "times_float32": [2 * fast] * 3,
            "times_int8": [fast] * 3,
        }
        for name, fast in speed.items()
    }
    return {
        "times": [{"name": name, "step": one, "image": one} for name, one in clock.items()],
        "networks": [{"name": name, "bytes": 1000} for name in speed],
        "sets": {"S": {"images": 5, "rows": rows}},
    }


@pytest.mark.parametrize(
    ("psnr", "times", "verdict"),
    [
        (26.0, 0.5, "INT8 is the better choice"),
        (26.0, 2.0, "buys time and bytes with quality"),
        (26.95, 2.0, "one bit is the better choice"),
        (26.95, 0.5, "neither is better in everything"),
    ],
)
def test_the_conclusion_follows_the_figures(psnr: float, times: float, verdict: str) -> None:
    said = findings(made_up(psnr, times))
    assert verdict in said[-1]
    assert f"{psnr - 27:+.2f}" in said[0]
    assert "above bicubic" in said[0]
    assert ("2.00 times faster" if times > 1 else "2.00 times slower") in said[2]


def test_a_set_without_its_last_network_is_left_out() -> None:
    stored = json.loads((ROOT / "benchmarks/results/binary_comparison_x4.json").read_text())
    name = min(stored["sets"])
    cut = {**stored["sets"][name], "rows": stored["sets"][name]["rows"][:2]}
    text = comparison_section({**stored, "sets": {**stored["sets"], "cut": cut}})
    assert text == comparison_section(stored)
    alone = comparison_section({**stored, "sets": {"cut": cut}})
    assert "the better choice" not in alone
    assert "times faster than float32" in alone


def test_the_page_is_made_of_the_stored_results(tmp_path: Path) -> None:
    page, stored = tmp_path / "page.md", ROOT / "benchmarks/results/binary_comparison_x4.json"
    text = (ROOT / "docs" / "binary.md").read_text(encoding="utf-8")
    page.write_text(text, encoding="utf-8")
    main(output=stored, docs=page)
    assert page.read_text(encoding="utf-8") == text
