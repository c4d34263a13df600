"""Tell phones apart without keeping their serial numbers, and keep two runs off one phone."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator

from edgesr.android.errors import BusyDeviceError
from edgesr.data.cache import cache_root

_LENGTH = 16


def device_hash(serial: str) -> str:
    """Return a name for a phone that only this computer's user can tell it by.

    The salt is made once and stays in the cache, so the same phone has the same name here and
    another one elsewhere, and nobody can try serial numbers against a published result.
    """
    return hashlib.sha256(_salt() + serial.encode()).hexdigest()[:_LENGTH]


@contextlib.contextmanager
def only_run(device: str, who: str) -> Iterator[None]:
    """Hold a phone for the block; the lock ends with the process, whatever ends that.

    Args:
        device: hash of the phone.
        who: name of the phone, for the message.

    Raises:
        BusyDeviceError: another run holds it.
    """
    import filelock

    folder = cache_root() / "device-locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"{device}.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BusyDeviceError(
            f"{who}: another edgesr measures on it, and two would slow each other; wait for its end"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _salt() -> bytes:
    path = cache_root() / "device-salt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(secrets.token_bytes(32))
    return path.read_bytes()
