"""Image sizes on the command line."""

import re

from edgesr.errors import UsageError


def parse_shape(text: str) -> tuple[int, int]:
    """Turn ``360x640`` (height x width) into ``(360, 640)``.

    Raises:
        UsageError: another form, or a side of 0.
    """
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if match is None or "0" in {side.lstrip("0") or "0" for side in match.groups()}:
        raise UsageError(f"--shape {text!r}: want HEIGHTxWIDTH such as 360x640")
    return int(match[1]), int(match[2])
