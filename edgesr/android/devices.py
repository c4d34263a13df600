"""The phones that adb sees, and which of them to use."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesr.android.errors import (
    DeviceError,
    NoAdbError,
    NoDeviceError,
    OfflineError,
    SeveralDevicesError,
    UnauthorizedError,
)
from edgesr.android.process import one_line, run_process

_SERVER_START_S = 20.0
_NO_PERMISSION = "no permissions"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One line of ``adb devices -l``.

    Attributes:
        serial: what adb calls the phone; never stored in results.
        state: ``device`` when it can be used, else ``unauthorized``, ``offline`` and others.
        details: such as ``model``, ``product``, ``transport_id``.
    """

    serial: str
    state: str
    details: Mapping[str, str]


def list_devices(adb: Path) -> tuple[Listed, ...]:
    """Return every phone that adb's server sees; starts that server where it does not run.

    Raises:
        DeviceError: the server does not start or does not answer.
    """
    try:
        answer = run_process([str(adb), "devices", "-l"], timeout=_SERVER_START_S)
    except TimeoutError as error:
        raise DeviceError(f"adb devices: {error}; run `adb kill-server` and try again") from error
    except OSError as error:
        raise NoAdbError(f"{adb}: does not run ({error}); name another with --adb") from error
    if answer.code:
        raise DeviceError(
            f"adb devices: {one_line(answer.err or answer.out)}; run `adb kill-server` and try "
            "again"
        )
    return parse_devices(answer.out)


def parse_devices(text: str) -> tuple[Listed, ...]:
    """Read what ``adb devices -l`` prints."""
    listed = []
    for line in text.splitlines():
        if not line.strip() or line.startswith(("List of devices", "*", "adb server")):
            continue
        serial, _, rest = line.strip().partition(" ")
        serial, _, tabbed = serial.partition("\t")
        rest = (tabbed + " " + rest).strip()
        words = rest.split()
        details = dict(word.split(":", 1) for word in words if ":" in word and "[" not in word)
        state = _NO_PERMISSION if rest.startswith(_NO_PERMISSION) else (words or ["unknown"])[0]
        listed.append(Listed(serial=serial, state=state, details=details))
    return tuple(listed)


def choose(
    listed: tuple[Listed, ...], *, serials: tuple[str, ...] = (), every: bool = False
) -> tuple[Listed, ...]:
    """Return the phones to use, each ready.

    Args:
        listed: what adb sees.
        serials: those named; none means ``$ANDROID_SERIAL``, or the only one.
        every: all that are ready.

    Raises:
        NoDeviceError: none, or not the one that was named.
        SeveralDevicesError: several and none was named.
        UnauthorizedError: the phone asks its owner for permission.
        OfflineError: it does not answer.
    """
    seen = ", ".join(f"{one.serial} ({one.state})" for one in listed) or "none"
    named = serials or tuple(filter(None, [os.environ.get("ANDROID_SERIAL")]))
    if every and serials:
        raise SeveralDevicesError("--all and -s: want one of the two")
    if not listed:
        raise NoDeviceError(
            "adb sees no device; switch on USB debugging in the phone's developer options, "
            "connect it, and look at `edgesr device list`"
        )
    if every:
        ready = tuple(one for one in listed if one.state == "device")
        if ready:
            return ready
        named = tuple(one.serial for one in listed)
    if not named:
        if len(listed) > 1:
            raise SeveralDevicesError(
                f"adb sees {len(listed)} devices: {seen}; choose with -s SERIAL, or --all"
            )
        named = (listed[0].serial,)
    found = {one.serial: one for one in listed}
    chosen = []
    for serial in dict.fromkeys(named):
        if serial not in found:
            raise NoDeviceError(f"device {serial} is not connected; adb sees: {seen}")
        check_state(found[serial])
        chosen.append(found[serial])
    return tuple(chosen)


def check_state(device: Listed) -> None:
    """Refuse a phone that cannot be used, with what its owner can do.

    Raises:
        UnauthorizedError: it asks for permission.
        OfflineError: it does not answer.
        NoDeviceError: it is in another state, such as the boot loader.
    """
    advice = STATE_ADVICE.get(device.state)
    message = f"device {device.serial} is {device.state}; {advice}"
    if device.state in {"unauthorized", "authorizing"}:
        raise UnauthorizedError(message)
    if device.state in {"offline", "connecting"}:
        raise OfflineError(message)
    if device.state != "device":
        raise NoDeviceError(message if advice else f"{message.partition(';')[0]}; start Android")


STATE_ADVICE: Mapping[str, str] = {
    "unauthorized": "unlock it and accept the debugging dialog",
    "authorizing": "unlock it and accept the debugging dialog",
    "offline": "replug it, or run `adb kill-server` and try again",
    "connecting": "wait a moment and try again",
    "recovery": "start Android",
    "sideload": "start Android",
    "bootloader": "start Android",
    _NO_PERMISSION: "the USB device is not yours to open; install the udev rules of platform-tools",
}
"""What to do about a phone in another state than ``device``."""
