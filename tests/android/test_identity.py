import multiprocessing
from pathlib import Path

import pytest

from edgesr.android.errors import BusyDeviceError
from edgesr.android.identity import device_hash, only_run

pytest.importorskip("filelock", reason="needs edgesr[device]")


def test_a_phone_has_one_name_here_and_another_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path / "here"))
    here = device_hash("SERIAL1")
    assert device_hash("SERIAL1") == here
    assert device_hash("SERIAL2") != here
    assert "SERIAL" not in here
    assert (tmp_path / "here" / "device-salt").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path / "elsewhere"))
    assert device_hash("SERIAL1") != here


def hold(
    ready: "multiprocessing.synchronize.Event", end: "multiprocessing.synchronize.Event"
) -> None:
    with only_run("phone", "Pixel"):
        ready.set()
        end.wait(20)


def test_two_runs_do_not_measure_on_one_phone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path))
    context = multiprocessing.get_context("spawn")
    ready, end = context.Event(), context.Event()
    other = context.Process(target=hold, args=(ready, end))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(BusyDeviceError, match="Pixel"), only_run("phone", "Pixel"):
            pass
        with only_run("another", "Pixel"):
            pass
    finally:
        end.set()
        other.join()
    with only_run("phone", "Pixel"):
        pass


def test_a_lock_ends_with_an_error_inside() -> None:
    with pytest.raises(ValueError, match="inside"), only_run("phone", "Pixel"):
        raise ValueError("inside")
    with only_run("phone", "Pixel"):
        pass
