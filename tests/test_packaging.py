import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_on_disk_is_listed_and_no_other() -> None:
    listed = SETTINGS["tool"]["setuptools"]
    inits = (ROOT / "edgesr").rglob("__init__.py")
    on_disk = {".".join(path.parent.relative_to(ROOT).parts) for path in inits}
    assert sorted(on_disk | set(listed["package-dir"])) == sorted(listed["packages"])


def test_every_folder_with_python_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "edgesr").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_data_folders_hold_no_python() -> None:
    siblings = ("export", "benchmarks", "android_bench")
    assert [str(path) for name in siblings for path in (ROOT / name).rglob("*.py")] == []


def test_every_data_file_is_packaged() -> None:
    listed = set(SETTINGS["tool"]["setuptools"]["package-data"]["*"])
    suffixes = {path.suffix for path in _data_files()}
    assert {f"*{suffix}" for suffix in suffixes if suffix} <= listed | {"*.toml"}


def test_constraints_pin_every_dependency_inside_its_range() -> None:
    project = SETTINGS["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    for requirement in map(Requirement, project["dependencies"] + extras):
        assert pins[requirement.name] in requirement.specifier, str(requirement)


def test_constraints_name_no_host_path_or_local_build() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    assert "torch==2.13.0" in pins


def test_the_wheel_holds_all_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    _need_setuptools(SETTINGS["build-system"]["requires"][0])
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("edgesr", "export", "benchmarks", "android_bench", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run(  # noqa: S603 - our own build
        [sys.executable, "-c", build], cwd=source, check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        names = {name for name in content.namelist() if ".dist-info/" not in name}
    wanted = {
        f"{target}/{path.relative_to(source / folder).as_posix()}"
        for folder, target in _SHIPPED.items()
        for path in (source / folder).rglob("*")
        if path.is_file() and not path.is_relative_to(source / _NOT_SHIPPED)
    }
    assert names == wanted


_NOT_SHIPPED = "benchmarks/results"
"""Measurements belong to the repository, not to an installation."""

_SHIPPED = {
    "edgesr": "edgesr",
    "android_bench/devices": "edgesr/_data/android_bench/devices",
    "export": "edgesr/_data/export",
    "benchmarks": "edgesr/_data/benchmarks",
}


def _need_setuptools(requirement: str) -> None:
    try:
        found = Version(version("setuptools"))
    except PackageNotFoundError:
        pytest.skip(f"needs {requirement} to build without a network, found none")
    if found not in Requirement(requirement).specifier:
        pytest.skip(f"needs {requirement} to build without a network, found {found}")


def _data_files() -> list[Path]:
    files = [path for path in (ROOT / "edgesr").rglob("*") if path.is_file()]
    return [p for p in files if p.suffix not in {".py", ".pyc"} and p.name != "py.typed"]
