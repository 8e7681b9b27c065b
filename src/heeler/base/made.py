"""Tables of things that are made at their first use and may reach themselves, for several threads.

A thing that is being made is known to its maker only; others see it when it is whole, with all that was made on the way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: One for all tables, as things of one are made with things of others.
_LOCK = threading.RLock()
#: Tables with things that aren't whole yet, and how many makers stand around the running one.
_open: list[Made[Any, Any]] = []
_depth = [0]


class Made(Generic[K, V]):
    """`whole` may be read by anybody at any time; `begun` only within `making`."""

    def __init__(self) -> None:
        self.whole: dict[K, V] = {}
        self.begun: dict[K, V] = {}

    def get(self, key: K, make: Callable[[dict[K, V]], V]) -> V:
        """The thing of a key, made if it isn't there. `make` gets `begun`, to put there what it can be reached by."""
        found = self.whole.get(key)
        if found is not None:
            return found
        with _making(self):
            found = self.whole.get(key) or self.begun.get(key)
            if found is None:
                found = make(self.begun)
                self.begun[key] = found
            return found


@contextmanager
def _making(table: Made[Any, Any]) -> Iterator[None]:
    """The outermost maker shows what was made; if it fails, nobody sees any of it."""
    with _LOCK:
        if table not in _open:
            _open.append(table)
        _depth[0] += 1
        failed = True
        try:
            yield
            failed = False
        finally:
            _depth[0] -= 1
            if _depth[0] == 0:
                for one in _open:
                    if not failed:
                        one.whole.update(one.begun)
                    one.begun = {}
                _open.clear()
