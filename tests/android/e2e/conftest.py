"""A fake phone behind a real adb: fixtures that start both, or skip with the reason."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from edgesr.cli import run
from tests.android.fake_phone.elf import make_runner

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "edgesr/zoo/ncnet_x3_int8.tflite"
TOOLS = ("bwrap", "mksh", "nsenter", "toybox")
_PATIENCE_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Adb:
    """One adb program with a server of its own, on a port of its own."""

    program: str
    port: int
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k not in ("ADB", "ANDROID_SERIAL")}
        return {**kept, "HOME": str(self.home), "ANDROID_ADB_SERVER_PORT": str(self.port)}

    def __call__(self, *words: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - the adb that was found
            [self.program, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def state(self, serial: str) -> str:
        rows = [line.split() for line in self("devices").stdout.splitlines()[1:]]
        return next((row[1] for row in rows if row and row[0] == serial), "missing")


@dataclass(frozen=True, kw_only=True)
class FakePhone:
    """A fake phone that runs, see tests/android/fake_phone/phone.py for its switches."""

    root: Path
    adb: Adb
    port: int
    process: subprocess.Popen[str] = field(repr=False)
    _connecting: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

    @property
    def serial(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set(self, **switches: object) -> None:
        for name, value in switches.items():
            (self.root / "fake" / name).write_text(str(value))

    def clear(self, *names: str) -> None:
        for name in names:
            (self.root / "fake" / name).unlink(missing_ok=True)

    def switch(self, name: str) -> str | None:
        path = self.root / "fake" / name
        return path.read_text().strip() if path.exists() else None

    def connect(self, *, until: str = "device") -> None:
        # not waited for: with a phone that does not answer it takes ten seconds
        argv = [self.adb.program, "connect", self.serial]
        connecting = subprocess.Popen(  # noqa: S603
            argv,
            env=self.adb.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if until == "device":
            connecting.wait(_PATIENCE_S)
        else:
            self._connecting.append(connecting)
        end = time.monotonic() + _PATIENCE_S
        while self.adb.state(self.serial) != until:
            if time.monotonic() > end:
                pytest.fail(f"{self.serial} is {self.adb.state(self.serial)}, want {until}")
            time.sleep(0.05)

    def replug(self) -> None:
        """Undo a cut of the cable."""
        self.adb("disconnect", self.serial)
        self.clear("unplugged", "cut", "cut_at_launch")
        self.connect()

    def left_behind(self) -> list[str]:
        """Return the files that lie where edgesr puts its own."""
        folder = self.root / "data/local/tmp"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def stop(self) -> None:
        self.adb("disconnect", self.serial)
        self.process.kill()
        self.process.wait()
        for connecting in self._connecting:
            connecting.kill()
            connecting.wait()


def _bundled_adb() -> str | None:
    spec = find_spec("adbutils")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "binaries" / "adb"
    return str(path) if path.exists() else None


ADBS = {"path": shutil.which("adb"), "adbutils": _bundled_adb()}


@pytest.fixture(scope="session")
def start_adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Adb]]:
    """Start the server of one of ``ADBS``, once."""
    running: dict[str, Adb] = {}

    def start(name: str) -> Adb:
        program = ADBS[name]
        if program is None:
            pytest.skip(f"needs adb ({name}): apt-get install adb, or pip install adbutils")
        if name not in running:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                port = probe.getsockname()[1]
            adb = Adb(program=program, port=port, home=tmp_path_factory.mktemp("adb-home"))
            started = adb("start-server")
            if started.returncode:
                pytest.skip(f"adb's server does not start: {started.stderr.strip()}")
            running[name] = adb
        return running[name]

    yield start
    for adb in running.values():
        adb("kill-server")


@pytest.fixture(scope="session")
def any_adb(start_adb: Callable[[str], Adb]) -> Adb:
    return start_adb("path" if ADBS["path"] else "adbutils")


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skip where no phone can be faked."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("the fake phone needs Linux on x86-64")
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the fake phone needs {', '.join(missing)}: apt-get install them (.ci/run)")
    probe = ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "true"]
    tried = subprocess.run(probe, capture_output=True, text=True, check=False)  # noqa: S603
    if tried.returncode:
        pytest.skip(f"bubblewrap cannot make a sandbox here: {tried.stderr.strip()}")


@pytest.fixture
def start_phone(
    sandbox: None,  # noqa: ARG001 - skips
    tmp_path: Path,
) -> Iterator[Callable[..., FakePhone]]:
    """Start a phone that is not connected yet: ``start_phone(adb, model="Fake 1")``."""
    running: list[FakePhone] = []
    litert = find_spec("ai_edge_litert")
    if litert is None or litert.origin is None:
        pytest.skip("the fake phone's runner needs ai_edge_litert")
    packages = str(Path(litert.origin).parents[1])

    def start(adb: Adb, model: str = "Fake 1") -> FakePhone:
        root = tmp_path / f"phone{len(running)}"
        argv = [sys.executable, "-S", "-m", "tests.android.fake_phone", str(root), model]
        process = subprocess.Popen(  # noqa: S603 - our own program
            argv,
            cwd=ROOT,
            env={**os.environ, "FAKE_PHONE_PACKAGES": packages},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.close()
        phone = FakePhone(root=root, adb=adb, port=int(line.split()[1]), process=process)
        running.append(phone)
        return phone

    yield start
    for phone in running:
        phone.stop()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One call of edgesr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A user's desk: phones, runners, a folder, and ``edgesr device`` at hand."""

    adb: Adb
    folder: Path
    capture: pytest.CaptureFixture[str]
    start: Callable[..., FakePhone]

    def phone(self, *, connect: bool = True, model: str = "Fake 1", **faults: object) -> FakePhone:
        phone = self.start(self.adb, model)
        phone.set(**faults)
        if connect:
            phone.connect()
        return phone

    def runner(self, flavour: str = "classic", **how: int) -> Path:
        path = self.folder / f"benchmark_model_{flavour}"
        path.write_bytes(make_runner(flavour, **how))
        return path

    def edgesr(self, *words: str | Path) -> Ended:
        self.capture.readouterr()
        code = run(["device", *map(str, words)])
        told = self.capture.readouterr()
        return Ended(code=code, out=told.out, err=told.err)

    def bench(self, *words: str | Path, runner: Path | None = None) -> Ended:
        """Measure the shipped network once, briefly."""
        return self.edgesr(*self.bench_words(*words, runner=runner))

    def bench_words(self, *words: str | Path, runner: Path | None = None) -> list[str | Path]:
        program = runner or self.runner()
        brief = ["--runs", "3", "--min-secs", "0", "--warmup", "1"]
        if "--cooldown" not in words:
            brief += ["--cooldown", "off"]
        brief.append("--runner-flag=--warmup_min_secs=0")  # the program warms up for 0.5 s
        if "--launches" not in words:
            brief += ["--launches", "1"]
        if "-o" not in words:
            brief += ["-o", str(self.folder / "out.json")]
        return ["bench", MODEL, "--shape", "16x16", "--runner", program, *brief, *words]

    def result(self, name: str = "out.json") -> Any:
        return json.loads((self.folder / name).read_text())


@pytest.fixture
def desk(
    any_adb: Adb,
    start_phone: Callable[..., FakePhone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Desk:
    for name, value in any_adb.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setenv("ADB", any_adb.program)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("EDGESR_CACHE", str(tmp_path / "edgesr-cache"))
    return Desk(adb=any_adb, folder=tmp_path, capture=capsys, start=start_phone)
