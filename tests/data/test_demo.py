from pathlib import Path

import pytest

from edgesr.data.demo import demo_dataset
from edgesr.data.layouts import read_pair
from edgesr.errors import MissingDependencyError

pytest.importorskip("skimage", reason="the demo photographs come with scikit-image")


def test_demo_photographs_are_a_handful_of_named_colour_images() -> None:
    dataset = demo_dataset(3)
    names = [pair.name for pair in dataset.pairs]
    assert names == sorted(names)
    assert 4 <= len(names) <= 20
    assert "demo" in dataset.describe().lower()


def test_a_demo_photograph_decodes_into_a_pair() -> None:
    lr, hr = read_pair(demo_dataset(3).pairs[1], 3)
    assert min(lr.shape[:2]) >= 64
    assert hr.shape == (3 * lr.shape[0], 3 * lr.shape[1], 3)


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingDependencyError, match=r"edgesr\[demo\].*--data"):
        demo_dataset(3)


def test_a_scikit_image_without_photographs_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "skimage").mkdir()
    (tmp_path / "skimage" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "skimage")
    with pytest.raises(MissingDependencyError, match="no photographs inside"):
        demo_dataset(3)
