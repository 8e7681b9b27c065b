"""Tables as Helm prints them: columns padded to their widest cell and parted by tabs; long cells are cut."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _cut(text: str, most: int) -> str:
    """The text as it fits; of several lines the longest one says how much that is."""
    widest = max((_width(line) for line in text.split("\n")), default=0)
    limit = min(most, widest) if most else widest
    if _width(text) <= limit:
        return text
    return text[: max(limit - 3, 0)] + "..."


def table(rows: Iterable[Sequence[object]], most: int = 0) -> str:
    """The lines of a table without a final line end; `most`: how wide a cell may be, 0 as wide as it is."""
    cells = [[_cut(str(cell).strip(), most) for cell in row] for row in rows]
    if not cells:
        return ""
    widths = [max(_width(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "\t".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)) for row in cells
    )
