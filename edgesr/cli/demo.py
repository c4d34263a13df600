"""``edgesr demo``: the whole path on sample photographs, in minutes."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PROTOCOL = "mai"
_PHOTOGRAPH = "chelsea"
_RUN = "quick"


def demo(
    *,
    to: Path = Path("demo"),
    steps: Annotated[int | None, Parameter(validator=Number(gte=2))] = None,
    train: bool = True,
) -> None:
    """Upscale a photograph with the shipped network, then train, export and verify a small one.

    Args:
        to: folder for pictures, the run and the exported file.
        steps: training steps; default is the `quick` recipe's.
        train: train and export too.
    """
    _upscale(to)
    if train:
        _train_and_export(to, steps)


def _upscale(folder: Path) -> None:
    import numpy as np

    from edgesr.cli.console import say
    from edgesr.data.demo import demo_dataset
    from edgesr.data.layouts import read_pair
    from edgesr.images import write_image
    from edgesr.imresize import upscale_bicubic
    from edgesr.metrics import measure
    from edgesr.upscalers import load_upscaler
    from edgesr.zoo import DEFAULT

    upscaler = load_upscaler(DEFAULT)
    dataset = demo_dataset(upscaler.scale)
    pair = next(pair for pair in dataset.pairs if pair.name == _PHOTOGRAPH)
    lr, hr = read_pair(pair, upscaler.scale)
    upscaler(lr)  # the first run prepares the kernels
    began = time.perf_counter()
    sr = upscaler(lr)
    elapsed_ms = 1e3 * (time.perf_counter() - began)
    bicubic = upscale_bicubic(lr, upscaler.scale)
    scores = {
        name: measure(image, hr, scale=upscaler.scale, protocol=_PROTOCOL).psnr
        for name, image in {"bicubic": bicubic, DEFAULT: sr}.items()
    }
    path = folder / "before_after.png"
    write_image(path, np.concatenate([_middle(bicubic), _middle(sr), _middle(hr)], axis=1))
    say(f"1/3 upscaled {_PHOTOGRAPH} {lr.shape[1]}x{lr.shape[0]} -> {sr.shape[1]}x{sr.shape[0]}")
    say(f"    with the shipped INT8 {DEFAULT} in {elapsed_ms:.0f} ms")
    say(f"    PSNR ({_PROTOCOL}: RGB, no border): " + _listed(scores))
    say(f"    {path}: bicubic | {DEFAULT} INT8 | original")


def _middle(image: "NDArray[np.uint8]", side: int = 240) -> "NDArray[np.uint8]":
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def _listed(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {psnr:.2f} dB" for name, psnr in scores.items())


def _train_and_export(folder: Path, steps: int | None) -> None:
    import shutil

    from edgesr.cli import run
    from edgesr.cli.console import say

    say("2/3 training the quick recipe on the demo photographs")
    shutil.rmtree(folder / _RUN, ignore_errors=True)
    command = ["train", "--recipe", "quick", "--runs", str(folder), "--name", _RUN]
    _must(run([*command, *(["--steps", str(steps)] if steps else [])]))
    say("3/3 exporting INT8 and verifying the file by running it")
    file = folder / "quick_int8.tflite"
    _must(run(["export", "--int8", str(file), "--checkpoint", str(folder / _RUN)]))
    say(f"done; next: .venv/bin/edgesr upscale YOUR_PHOTO.jpg --model {file}")


def _must(code: int) -> None:
    if code:
        raise SystemExit(code)
