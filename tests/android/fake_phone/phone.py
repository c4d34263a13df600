"""The folder that is the phone: its root file system, and its switches as files in ``/fake``.

A switch is on when its file is there; the file's text is its value. So the adb daemon, the shell
scripts of the phone and the runner read the same switches, and a test sets one by writing a file.

| switch | value | effect |
| --- | --- | --- |
| state | unauthorized, offline | what adb sees |
| unplugged | | connections are refused |
| cut | | the cable is cut now; the daemon turns it into ``unplugged`` |
| quota | bytes | room for pushed files; the push fails when it is used up |
| free_kb | KiB | what ``df`` says is free |
| old_shell | | no shell_v2: no exit codes, stderr mixed in |
| cut_at_launch | n | the n-th launch cuts the cable in the middle |
| crash | signal number | every launch ends by this signal |
| hang | n, always | the n-th launch hangs, or every one |
| unknown_flags | names | the runner does not know these flags |
| nnapi, gpu | full, partial, none, unsupported | what the delegate takes; without: full |
| throttle_at_launch | n | from the n-th launch on the phone is hot and capped |
| hot | | the battery is at 45 degrees |
| override | | the thermal status is faked by a shell command |
| launches | n | written by the runner: launches so far |
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")

_FOLDERS = ("system/bin", "data/local/tmp", "fake", "proc", "dev", "sys/class/thermal", "vendor")
_CPUS = ((0, 1_803_000, 250), (1, 2_850_000, 1024))


@dataclass(frozen=True, kw_only=True)
class Phone:
    root: Path
    init: int

    def switch(self, name: str) -> str | None:
        try:
            return (self.root / "fake" / name).read_text().strip()
        except FileNotFoundError:
            return None

    def set(self, name: str, value: str = "") -> None:
        (self.root / "fake" / name).write_text(value)

    def clear(self, name: str) -> None:
        (self.root / "fake" / name).unlink(missing_ok=True)

    def path(self, name: str) -> Path:
        """Return where a file of the phone lies on this machine."""
        return self.root / os.path.normpath("/" + name).lstrip("/")

    @property
    def features(self) -> tuple[str, ...]:
        old = self.switch("old_shell") is not None
        return tuple(name for name in FEATURES if not (old and name == "shell_v2"))

    def argv(self, command: str) -> list[str]:
        """Return the command line that runs ``command`` in the phone's shell."""
        inside = [_need("nsenter"), "--target", str(self.init), "--mount", "--pid", "--net"]
        if os.geteuid():
            inside += ["--user", "--preserve-credentials"]
        words = [*inside, "--root", "--wd", "/system/bin/sh"]
        return [*words, "-c", command] if command else words


ENVIRONMENT = {"PATH": "/system/bin", "ANDROID_ROOT": "/system", "TMPDIR": "/data/local/tmp"}


def boot(root: Path) -> int:
    """Start the phone's first process in a sandbox and return its number on this machine.

    All commands run beside it, so that one can see and end what another has started. The sandbox
    ends with this program.
    """
    words = [_need("bwrap"), "--bind", str(root), "/"]
    for folder in ("/usr", "/lib", "/lib64", *_python_folders()):
        words += ["--ro-bind-try", folder, folder]
    words += ["--ro-bind", str(HERE), "/vendor/tests/android/fake_phone"]
    words += ["--proc", "/proc", "--dev", "/dev", "--unshare-pid", "--unshare-net"]
    words += ["--die-with-parent", "--chdir", "/"]
    reading, writing = os.pipe()
    words += ["--info-fd", str(writing), "/system/bin/tail", "-f", "/dev/null"]
    subprocess.Popen(words, pass_fds=[writing], env=ENVIRONMENT)  # noqa: S603 - our own sandbox
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    if not text:
        sys.exit("fake phone: bubblewrap cannot make a sandbox here")
    return int(json.loads(text)["child-pid"])


def make_phone(root: Path, *, model: str = "Fake 1") -> Phone:
    """Lay out a phone's file system under ``root``, which is made, and switch the phone on."""
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    programs = root / "system" / "bin"
    toybox = _need("toybox")
    for applet in os.popen(toybox).read().split():  # noqa: S605 - the path that was looked up
        (programs / applet).symlink_to(toybox)
    (programs / "toybox").symlink_to(toybox)
    (programs / "sh").symlink_to(_need("mksh"))
    for script in (HERE / "system").iterdir():
        if script.suffix:
            continue
        (programs / script.name).unlink(missing_ok=True)
        shutil.copy(script, programs / script.name)
        (programs / script.name).chmod(0o755)
    for flavour in ("classic", "litert"):
        _write_runner(programs / f"fake-{flavour}", flavour)
    text = (HERE / "system" / "props.txt").read_text().replace("@MODEL@", model)
    (root / "fake" / "props").write_text(text)
    _write_sys(root / "sys")
    return Phone(root=root, init=boot(root))


def _write_runner(path: Path, flavour: str) -> None:
    python, packages = _python()
    module = "tests.android.fake_phone.runner.benchmark_model"
    lines = ("#!/system/bin/sh", f"export PYTHONPATH=/vendor:{packages} PYTHONDONTWRITEBYTECODE=1")
    path.write_text("\n".join((*lines, f'exec {python} -S -m {module} {flavour} "$0" "$@"', "")))
    path.chmod(0o755)


def _write_sys(root: Path) -> None:
    for number, khz, capacity in _CPUS:
        folder = root / "devices/system/cpu" / f"cpu{number}"
        (folder / "cpufreq").mkdir(parents=True)
        (folder / "cpu_capacity").write_text(f"{capacity}\n")
        values = {
            "cpuinfo_max_freq": khz,
            "scaling_max_freq": khz,
            "scaling_cur_freq": khz // 2,
            "scaling_governor": "schedutil",
        }
        for name, value in values.items():
            (folder / "cpufreq" / name).write_text(f"{value}\n")
    (root / "devices/system/cpu/online").write_text(f"0-{len(_CPUS) - 1}\n")
    for number, (kind, degrees) in enumerate((("cpu-0-0-usr", 31.7), ("battery", 30.1))):
        zone = root / "class/thermal" / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(f"{kind}\n")
        (zone / "temp").write_text(f"{int(degrees * 1000)}\n")


def _python() -> tuple[str, str]:
    """Return the interpreter and the folders, joined by colons, that LiteRT is imported from."""
    return sys.executable, os.environ.get("FAKE_PHONE_PACKAGES", "")


def _python_folders() -> list[str]:
    python, packages = _python()
    folders = {sys.base_prefix, str(Path(python).parent.parent), *packages.split(":")}
    return sorted(one for one in folders if one and not one.startswith("/usr/"))


def _need(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        sys.exit(f"fake phone: {name} is missing; install it: apt-get install {name}")
    return path
