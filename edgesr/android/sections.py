"""One answer that holds what many commands printed: a round trip to a phone is 20 to 50 ms."""

from collections.abc import Mapping

_MARK = "@@section "


def section_script(commands: Mapping[str, str]) -> str:
    """Return a script that runs every command after a line with its name.

    Args:
        commands: name without spaces -> command of the phone's shell.
    """
    return "\n".join(f"echo '{_MARK}{name}'\n{command}" for name, command in commands.items())


def split_sections(text: str) -> dict[str, str]:
    """Return what each command printed, by name; what came before the first name is dropped."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        _, mark, name = line.partition(_MARK)  # the program before may not have ended its line
        if mark:
            current = found.setdefault(name.strip(), [])
        else:
            current.append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}
