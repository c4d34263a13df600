"""A denoiser of one bit beside its float32 twin and the twin's INT8 file: quality, bytes, time.

All three enlarge the same images from the same noise in as many steps, and take turns on one core.
Float32 is torch (oneDNN) in channels_last order, INT8 is LiteRT (XNNPACK), one bit is edgesr's
kernel inside torch. Run it as ``python -m edgesr.bench.binary_comparison``.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np
import torch

from edgesr.bench.binary_comparison_page import FLOAT, INT8, MARKS, ONE_BIT, comparison_section
from edgesr.bench.binary_trio import Trio, network_facts, open_trio
from edgesr.bench.diffusion_page import with_section
from edgesr.bench.environment import environment
from edgesr.bench.load import moment, one_core, other_cores
from edgesr.bench.results import read_document
from edgesr.bench.runtime import random_image
from edgesr.bench.statistics import paired_interval
from edgesr.bench.timing import Timing, Work, interleave
from edgesr.bench.verdict import paired_ratio
from edgesr.data.layouts import Dataset, find_dataset
from edgesr.errors import DataError, EdgesrError
from edgesr.evaluate import evaluate
from edgesr.files import write_json, write_text
from edgesr.litert import open_signatures, version
from edgesr.models.denoiser_files import LoadedDenoiser
from edgesr.perception import PERCEPTUAL
from edgesr.upscalers import load_upscaler
from edgesr.upscalers.diffusion import sampling_path
from edgesr.upscalers.step_loop import encode

SCHEMA = "edgesr/binary-comparison/1"
DEFAULT_OUTPUT = Path("benchmarks/results/binary_comparison_x4.json")
_PROTOCOL = "classic-y"
_SEED = 0


def measure_quality(
    trio: Trio, name: str, dataset: Dataset, rows: Sequence[Mapping[str, Any]], *, limit: int | None
) -> list[dict[str, Any]]:
    """Return the row of one of the three on a set; before the twin's stands that of bicubic.

    Args:
        trio: what is compared.
        name: which of it.
        dataset: pairs for its scale.
        rows: that were measured before, the twin's first: the others are paired with it by image.
        limit: only the first so many images.

    Raises:
        DatasetError: no images, or one that is too small for a metric.
        ImageError: an image cannot be read.
    """
    upscaler = load_upscaler(trio.sources[name], threads=1)
    found = evaluate(upscaler, dataset, (_PROTOCOL,), metrics=tuple(PERCEPTUAL), limit=limit)
    psnr = [image.scores[_PROTOCOL].psnr for image in found.images]
    twin = next((row["psnr_y_images"] for row in rows if row["name"] == FLOAT), psnr)
    apart = paired_interval([ours - theirs for ours, theirs in zip(psnr, twin, strict=True)])
    own = {
        "name": name,
        "psnr_y": found.scores[_PROTOCOL].psnr,
        "ssim_y": found.scores[_PROTOCOL].ssim,
        **found.perceptual,
        "psnr_y_images": psnr,
        "to_twin": [apart.mean, apart.low, apart.high],
    }
    if name != FLOAT:
        return [own]
    score = found.bicubic[_PROTOCOL]
    bicubic = {"psnr_y": score.psnr, "ssim_y": score.ssim, **found.perceptual_bicubic}
    return [{"name": "bicubic", **bicubic}, own]


def time_works(trio: Trio, shape: tuple[int, int]) -> dict[str, Work]:
    """Return a whole image and one step's network for each, on one thread.

    An image is uint8 to uint8, with its enlargement and noise. Inputs of a step are ready.
    """
    torch.set_num_threads(1)
    image, scale = random_image(shape), trio.twin.scale
    works: dict[str, Work] = {}
    for name, path in trio.sources.items():
        works[f"{name} image"] = partial(load_upscaler(path, threads=1), image)
    works[f"{FLOAT} step"] = _torch_step(trio.twin, shape)
    works[f"{ONE_BIT} step"] = _torch_step(trio.one_bit, shape)
    random = np.random.default_rng(_SEED)
    large = (scale * shape[0], scale * shape[1])
    sizes = {"x": large, "centre": large, "lr": shape}
    inputs = {
        name: encode(random.uniform(-1, 1, (1, *size, 3)).astype(np.float32), trio.schedule.io)
        for name, size in sizes.items()
    }
    file, signature = open_signatures(trio.int8), trio.schedule.steps[0].signature
    works[f"{INT8} step"] = lambda: file.run(signature, inputs)
    return works


def measure_time(trio: Trio, shape: tuple[int, int], repeats: int) -> list[dict[str, Any]]:
    """Return processor times and their ratios to the float twin's and to INT8's, paired."""
    with one_core():
        timings = {one.name: one for one in interleave(time_works(trio, shape), repeats=repeats)}
    return [
        {
            "name": name,
            **{what: _time(timings, name, what) for what in ("step", "image")},
        }
        for name in trio.sources
    ]


def _time(timings: dict[str, Timing], name: str, what: str) -> dict[str, Any]:
    own = timings[f"{name} {what}"]

    def faster(reference: str) -> list[float]:
        ratio = paired_ratio(timings[f"{reference} {what}"].cpu_ms, own.cpu_ms)
        return [ratio.median, ratio.low, ratio.high]

    return {
        "median_cpu_ms": statistics.median(own.cpu_ms),
        "median_ms": own.median_ms,
        "times_float32": faster(FLOAT),
        "times_int8": faster(INT8),
        "cpu_ms": [round(value, 4) for value in own.cpu_ms],
        "wall_ms": [round(value, 4) for value in own.wall_ms],
    }


def _torch_step(loaded: LoadedDenoiser, shape: tuple[int, int]) -> Work:
    generator = torch.Generator().manual_seed(_SEED)
    module: Any = loaded.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lr = torch.rand(1, 3, *shape, generator=generator)
    large = (1, 3, *(loaded.scale * side for side in shape))
    noisy = torch.randn(large, generator=generator)
    centre = None if loaded.centre is None else torch.rand(large, generator=generator)
    told = torch.tensor([int(sampling_path(loaded, None).timesteps[-1])])

    def work() -> object:
        with torch.inference_mode():
            return module(noisy, told, lr, centre)

    return work


def main(  # noqa: PLR0913 - one parameter a flag
    twin: Path | None = None,
    int8: Path | None = None,
    one_bit: Path | None = None,
    *,
    data: tuple[Path, ...] = (),
    lr: tuple[Path, ...] = (),
    limit: int | None = None,
    shape: tuple[int, int] = (64, 64),
    repeats: int = 15,
    output: Path = DEFAULT_OUTPUT,
    docs: Path | None = None,
) -> None:
    """Measure, and write the results; or write a page of them.

    What is in the results of the same files is kept: an interrupted measurement goes on, and sets
    can be added one by one.

    Args:
        twin: weights or run folder of the float denoiser.
        int8: .tflite that `edgesr export --int8` made of it.
        one_bit: .esb that `edgesr export --binary` made of the one-bit denoiser.
        data: folder of images, after which its results are named; may be repeated.
        lr: folder of low-resolution images for each --data, in the same order.
        limit: only the first so many images of each.
        shape: height and width of the low-resolution image that is timed.
        repeats: counted repetitions.
        output: results (JSON), gone on with where it exists; with --docs they are read instead.
        docs: page (Markdown) to write the results into.

    Raises:
        DataError: files or images are missing, two folders have one name, or the results are of
            other files or another number of images.
    """
    if docs is not None:
        page, stored = docs.read_text(encoding="utf-8"), read_document(output, {SCHEMA})
        write_text(docs, with_section(page, comparison_section(stored), str(docs), marks=MARKS))
        return
    if twin is None or int8 is None or one_bit is None or not data:
        raise DataError("name the float denoiser, its .tflite, the .esb, and images with --data")
    if lr and len(lr) != len(data):
        raise DataError(f"{len(lr)} --lr for {len(data)} --data; give one for each, or none")
    names = [folder.absolute().name for folder in data]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"--data: two folders are named {twice}; results want a name for each")
    trio = open_trio(twin, int8, one_bit)
    document = _begun(trio, shape, repeats, output)
    for place, folder in enumerate(data):
        dataset = find_dataset(folder, trio.twin.scale, lr_root=lr[place] if lr else None)
        found = document["sets"].setdefault(names[place], {"rows": []})
        count = len(dataset.pairs[:limit])
        if found.get("images", count) != count:
            raise DataError(
                f"{output}: holds {names[place]} of {found['images']} images, not of {count}; give "
                "the same --data and --limit, or name another --output"
            )
        for name in list(trio.sources)[max(0, len(found["rows"]) - 1) :]:
            found["rows"] += measure_quality(trio, name, dataset, found["rows"], limit=limit)
            found["images"] = len(found["rows"][-1]["psnr_y_images"])
            write_json(output, document)
    print(comparison_section(document))


def _begun(trio: Trio, shape: tuple[int, int], repeats: int, output: Path) -> dict[str, Any]:
    """Return the results that are there of the same files and size, or new ones with times."""
    networks = network_facts(trio, shape)
    if output.exists():
        stored = read_document(output, {SCHEMA})
        if (stored["networks"], stored["shape"]) == (networks, list(shape)):
            return stored
        raise DataError(f"{output}: is of other files or another --shape; name another --output")
    about, began = environment(), moment()
    times = measure_time(trio, shape, repeats)
    document = {
        "schema": SCHEMA,
        "environment": about,
        "litert": version(),
        "other_cores": other_cores(began, moment()),
        "scale": trio.twin.scale,
        "num_steps": trio.num_steps,
        "shape": list(shape),
        "networks": networks,
        "times": times,
        "sets": {},
    }
    write_json(output, document)
    return document


if __name__ == "__main__":
    try:
        cyclopts.run(main)
    except EdgesrError as error:
        sys.exit(f"error: {error}")
