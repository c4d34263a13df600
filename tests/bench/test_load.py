"""What other programs keep busy is told apart from the measurement's own work."""

import time
from pathlib import Path

import pytest

from edgesr.bench import load
from edgesr.bench.load import Moment, moment, other_cores, refuse_load, said_load
from edgesr.errors import DataError


def test_others_are_all_less_ourselves() -> None:
    began = Moment(wall=10.0, busy=100.0, own=5.0)
    assert other_cores(began, Moment(wall=14.0, busy=107.0, own=8.0)) == pytest.approx(1.0)
    assert other_cores(began, Moment(wall=14.0, busy=102.0, own=8.0)) == 0.0
    assert other_cores(began, Moment(wall=14.0, busy=None, own=8.0)) is None


def test_our_own_work_is_in_our_account() -> None:
    began = moment()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    ended = moment()
    assert ended.own - began.own >= 0.05
    assert ended.wall > began.wall


def test_threads_without_a_core_each_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesr.bench.load.os.cpu_count", lambda: 2)
    monkeypatch.setattr(load, "other_cores", lambda *_: 1.4)
    with pytest.raises(DataError, match=r"keep 1\.4 of 2 cores busy, so that 2 threads"):
        refuse_load(2, seconds=0)
    monkeypatch.setattr(load, "other_cores", lambda *_: 0.1)
    assert refuse_load(2, seconds=0) == 0.1
    monkeypatch.setattr(load, "other_cores", lambda *_: None)
    assert refuse_load(2, seconds=0) is None


def test_a_load_that_nobody_tells_is_the_average() -> None:
    about = {"load_1min": 3.5, "cores": 2}
    assert said_load(about, None) == "load 3.5 on 2 cores"
    assert said_load(about, 1.26) == "other programs kept 1.3 of 2 cores busy"


def test_the_account_of_other_systems_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_STAT", Path("/none"))
    assert moment().busy is None
