"""A set of templates that know each other by name, as text/template's: parse, clone, run."""

from __future__ import annotations

from collections import ChainMap, OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any, Final

from heeler.packages.template.builtins import BUILTINS
from heeler.packages.template.compile import Compiled
from heeler.packages.template.execution import INVALID, Run
from heeler.packages.template.formatting import quote
from heeler.packages.template.parse import parse
from heeler.packages.template.values import Function, GoError

CACHED_CHARACTERS: Final = 4 << 20
"""How much text a library keeps parsed, at some 60 bytes of memory a character. A chart with its subcharts has some hundred
thousand characters."""


class Library:
    """Functions, and the texts that were parsed for them. May be shared by all who have the same functions."""

    def __init__(self, *functions: Mapping[str, Function]) -> None:
        """The first of several mappings that has a name counts. They aren't copied: some load what they are asked for."""
        self.functions: Mapping[str, Function] = ChainMap(*functions, BUILTINS)  # type: ignore[arg-type]
        self._kept: OrderedDict[tuple[str, str], list[Compiled]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def parsed(self, name: str, text: str) -> list[Compiled]:
        """The templates that the text makes, the one called `name` among them. Raises ParseError."""
        key = (name, text)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        compiled = [Compiled(tree, self.functions) for tree in parse(name, text, self.functions)]
        with self._lock:
            if key not in self._kept:
                self._kept[key] = compiled
                self._size += len(text)
                while self._size > CACHED_CHARACTERS:
                    (_, dropped), _ = self._kept.popitem(last=False)
                    self._size -= len(dropped)
        return compiled


class Templates:
    """Templates by name. `name` is that of the set itself, which errors tell."""

    def __init__(self, functions: Mapping[str, Function] | Library, name: str = "") -> None:
        self.library = functions if isinstance(functions, Library) else Library(functions)
        self.name = name
        self.by_name: dict[str, Compiled] = {}

    def parse(self, name: str, text: str) -> Compiled:
        """Add the templates of a text: later definitions win, unless they are empty. Raises ParseError.

        Gives the one called `name` as it stands in this text.
        """
        by_name = self.by_name
        main: Compiled | None = None
        for template in self.library.parsed(name, text):
            known = template.tree.name
            if known == name:
                main = template
            if known not in by_name or not template.tree.is_empty():
                by_name[known] = template
        assert main is not None
        return main

    def clone(self) -> Templates:
        """The same templates; what is parsed into one isn't seen by the other."""
        copy = Templates(self.library, self.name)
        copy.by_name = dict(self.by_name)
        return copy

    def defined(self) -> Iterable[str]:
        return self.by_name.keys()

    def execute(self, name: str, data: Any, run: Run | None = None) -> str:
        """What the template writes for `data`. `run`: go on with one that is under way. Raises GoError, mostly ExecError."""
        template = self.by_name.get(name)
        if template is None:
            raise GoError(f"template: no template {quote(name)} associated with template {quote(self.name)}")
        out: list[str] = []
        template.execute(Run(self.by_name) if run is None else run, INVALID if data is None else data, out)
        return "".join(out)
