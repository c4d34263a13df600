"""Read a flatbuffer whose every offset may lie: nothing is read outside the file, or for ever."""

import struct
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_FIELDS_START = 4
_POINTER = 4
_WORK_PER_BYTE = 8
_FREE_WORK = 1 << 16


class DamagedError(ValueError):
    """An offset, length or number in the file cannot be."""


@dataclass(kw_only=True)
class Bytes:
    """The bytes of a file, and how much of them was read.

    A table may be named by any number of offsets, so a small file could describe a giant one.
    Honest files read every byte about once; eight times that is refused.

    Attributes:
        content: the file.
        work: bytes and tables read so far.
    """

    content: bytes
    work: int = 0

    def take(self, position: int, size: int) -> memoryview:
        """Return ``size`` bytes at ``position``.

        Raises:
            DamagedError: they are not all in the file, or too much was read.
        """
        if position < 0 or size < 0 or position + size > len(self.content):
            raise DamagedError(f"{size} bytes at {position} are outside the file")
        self.work += size + 1
        if self.work > _WORK_PER_BYTE * len(self.content) + _FREE_WORK:
            raise DamagedError("its tables refer to each other without end")
        return memoryview(self.content)[position : position + size]

    def number(self, position: int, kind: str) -> Any:
        """Return the number of ``struct`` kind ``kind`` at ``position``."""
        return struct.unpack(f"<{kind}", self.take(position, struct.calcsize(f"<{kind}")))[0]

    def root(self) -> "Table":
        """Return the table that the file begins with."""
        return Table(file=self, position=self.number(0, "I"))


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of the file; fields are named by their slot, counted from 0.

    Attributes:
        file: the bytes.
        position: where the table begins.
    """

    file: Bytes
    position: int
    _slots: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        start = self.position - self.file.number(self.position, "i")
        size = self.file.number(start, "H")
        if size < _FIELDS_START or size % 2:
            raise DamagedError(f"the table at {self.position} has no fields")
        self.file.take(start, size)
        object.__setattr__(self, "_slots", (start, size))

    def number(self, slot: int, kind: str, default: float = 0) -> Any:
        """Return a number, or ``default`` where the file leaves it out."""
        place = self._place(slot)
        return default if place is None else self.file.number(place, kind)

    def table(self, slot: int) -> "Table | None":
        """Return a table, or None where there is none."""
        place = self._place(slot)
        return None if place is None else Table(file=self.file, position=self._follow(place))

    def tables(self, slot: int) -> "list[Table]":
        """Return a list of tables; none where the file leaves it out."""
        start, count = self._list(slot, _POINTER)
        places = range(start, start + count * _POINTER, _POINTER)
        return [Table(file=self.file, position=self._follow(place)) for place in places]

    def numbers(self, slot: int, dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
        """Return a list of numbers, or None where the file leaves it out."""
        if self._place(slot) is None:
            return None
        kind = np.dtype(dtype).newbyteorder("<")
        start, count = self._list(slot, kind.itemsize)
        return np.frombuffer(self.file.take(start, count * kind.itemsize), kind)

    def raw(self, slot: int) -> tuple[int, int]:
        """Return position and length of a list of bytes; length 0 where there is none."""
        return self._list(slot, 1)

    def text(self, slot: int) -> str:
        """Return a text, or nothing; bytes that are no UTF-8 are replaced."""
        start, count = self._list(slot, 1)
        return bytes(self.file.take(start, count)).decode(errors="replace")

    def _place(self, slot: int) -> int | None:
        start, size = self._slots
        entry = _FIELDS_START + 2 * slot
        if entry + 2 > size:
            return None
        offset: int = self.file.number(start + entry, "H")
        return self.position + offset if offset else None

    def _follow(self, place: int) -> int:
        offset: int = self.file.number(place, "I")
        if not offset:
            raise DamagedError(f"the reference at {place} leads nowhere")
        return place + offset

    def _list(self, slot: int, width: int) -> tuple[int, int]:
        place = self._place(slot)
        if place is None:
            return NOTHING
        start = self._follow(place)
        count: int = self.file.number(start, "I")
        if start + _POINTER + count * width > len(self.file.content):
            raise DamagedError(f"the list of {count} at {start} is longer than the file")
        return start + _POINTER, count


NOTHING: Final = (0, 0)
"""Position and length of a list that is not there."""
