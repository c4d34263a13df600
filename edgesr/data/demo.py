"""The photographs that scikit-image ships, as a stand-in where no data set is given."""

from importlib.util import find_spec
from pathlib import Path

from edgesr.data.layouts import Dataset, ImagePair
from edgesr.errors import MissingDependencyError

DEMO_PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Colour photographs in scikit-image's wheel; its README states their (free) licences."""


def demo_dataset(scale: int) -> Dataset:
    """Return the demo photographs as a data set; low resolution is made from them.

    Raises:
        MissingDependencyError: scikit-image is not installed.
    """
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "the demo photographs come with scikit-image, which is not installed; "
            "pip install 'edgesr[demo]' or give --data"
        )
    folder = Path(spec.origin).parent / "data"
    present = [folder / name for name in DEMO_PHOTOGRAPHS if (folder / name).is_file()]
    pairs = tuple(ImagePair(name=path.name, hr=path) for path in present)
    return Dataset(kind="DEMO photographs of scikit-image", root=folder, scale=scale, pairs=pairs)
