"""Tables and notes of the HTML pages."""

from collections.abc import Sequence
from html import escape


def html_table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, text: set[int]
) -> str:
    """Return a table.

    Args:
        title: what a screen reader says of it; HTML already.
        head: headings, plain text.
        rows: cells, HTML already.
        text: numbers of the columns that are set left.
    """
    kinds = [' class="text"' if index in text else "" for index in range(len(head))]
    top = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def html_note(text: str) -> str:
    """Return a paragraph in small type; ``text`` is plain."""
    return f'<p class="note">{escape(text)}</p>'
