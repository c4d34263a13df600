"""Keep a phone awake and its radio off while it is measured, and put back what was."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from threading import Event

from edgesr.android.adb import Phone
from edgesr.android.errors import DeviceError
from edgesr.android.sections import section_script, split_sections

_STAY = "stay_on_while_plugged_in"
_AIRPLANE = "airplane_mode_on"


@contextlib.contextmanager
def prepared(phone: Phone, *, wanted: bool) -> Iterator[None]:
    """Prepare the phone for the block and restore it behind, even when the block was stopped.

    The radio stays on where adb itself comes over the network.

    Args:
        phone: to prepare.
        wanted: without it nothing is changed.
    """
    if not wanted:
        yield
        return
    wired = ":" not in phone.serial
    before = split_sections(
        phone.shell(
            section_script(
                {
                    "stay": f"settings get global {_STAY}",
                    "air": f"settings get global {_AIRPLANE}",
                    "do": "svc power stayon usb; input keyevent KEYCODE_WAKEUP",
                    "radio": "cmd connectivity airplane-mode enable" if wired else ":",
                }
            )
        ).text
    )
    stay, air = (before.get(name, "").strip() for name in ("stay", "air"))
    restore = [f"settings put global {_STAY} {stay if stay.isdigit() else 0}"]
    if wired and air != "1":
        restore.append("cmd connectivity airplane-mode disable")
    try:
        yield
    finally:
        with contextlib.suppress(DeviceError):
            replace(phone, stop=Event()).shell("\n".join(restore))
