"""What a writer is warned of: each text once, and no more than headers may hold.

As upstream has it: texts are whole as long as all of them together are short; when they aren't, each is cut, and what
comes once the cut ones fill the space is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Characters of all texts together, and of each when that is too many (upstream's limits).
MAX_TOTAL = 4096
MAX_CUT = 256


class Warnings:
    """Texts in the order in which they came."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._whole = self._cut = 0

    def add(self, text: str) -> None:
        if text and not self._full and text not in self._texts:
            self._texts[text] = None
            self._whole += len(text)
            self._cut += min(len(text), MAX_CUT)

    @property
    def _full(self) -> bool:
        return self._whole > MAX_TOTAL and self._cut >= MAX_TOTAL

    def clear(self) -> None:
        self._texts.clear()
        self._whole = self._cut = 0

    def __iter__(self) -> Iterator[str]:
        if self._whole <= MAX_TOTAL:
            return iter(self._texts)
        return (text[:MAX_CUT] for text in self._texts)

    def __len__(self) -> int:
        return len(self._texts)
