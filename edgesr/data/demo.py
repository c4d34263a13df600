"""The photographs inside scikit-image's package: enough to try edgesr out, far too few for more."""

import importlib.util
from pathlib import Path

from edgesr.data.layouts import Dataset, ImagePair
from edgesr.errors import MissingDependencyError

_PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def demo_dataset(scale: int) -> Dataset:
    """Return the colour photographs of scikit-image with low resolution made on the fly.

    Raises:
        MissingDependencyError: scikit-image is not installed, or has no photographs inside.
    """
    folder = _folder()
    files = [folder / name for name in _PHOTOGRAPHS]
    pairs = tuple(ImagePair(name=path.stem, hr=path) for path in files if path.is_file())
    if not pairs:
        raise MissingDependencyError(
            f"{folder}: this scikit-image has no photographs inside; "
            "install edgesr[demo], or give --data FOLDER"
        )
    return Dataset(kind="demo photographs of scikit-image", root=folder, scale=scale, pairs=pairs)


def _folder() -> Path:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "no --data was given and scikit-image with its demo photographs is missing; "
            "install edgesr[demo], or give --data FOLDER"
        )
    return Path(found.origin).parent / "data"
