"""Which commit of edgesr runs here; read from Git's files, so that it needs no git."""

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_GIT_DEPTH = 5


def commit(root: Path = _ROOT) -> str | None:
    """Return the commit that is checked out in ``root``; None outside a checkout.

    What was changed since and not committed does not show.
    """
    head = _first_line(root / ".git" / "HEAD")
    for _ in range(_GIT_DEPTH):
        if head is None or not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        head = _first_line(root / ".git" / name) or _packed(root / ".git" / "packed-refs", name)
    return None


def _packed(path: Path, name: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), None)


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().splitlines()[0].strip()
    except (OSError, IndexError):
        return None
