"""Macros with two variables: `m.all(key, value, …)`, `l.transformList(index, item, …)`, `transformMap` and so on; `sortBy`.

The compiler doesn't know them. It is shown macros with one variable over a list of entries instead, and what it makes of
those is put right in its tree: a fold over the list or map itself, with two variables. Places in its errors are those of the
text as it was written.
Source: https://pkg.go.dev/github.com/google/cel-go/ext#TwoVarComprehensions
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from heeler.kinds.cel.checked import Call, Fold, ListOf, Name, Node, Select, Struct, Tree

#: Functions that only the compiler sees (`ENTRIES`), or that the text cannot name well (`TO_MAP`, `MERGED`).
ENTRIES, TO_MAP, MERGED, SORTED = "__entries", "__toMap", "__merged", "__sorted"
#: An entry's fields.
KEY, VALUE = "key", "value"
_ENTRY_NAME = "__entry"

#: Macros with two variables -> the one that is shown with one, and what makes a map of its list.
_MACROS = {
    "all": ("all", ""),
    "exists": ("exists", ""),
    "existsOne": ("exists_one", ""),
    "transformList": ("map", ""),
    "transformMap": ("map", TO_MAP),
    "transformMapEntry": ("map", MERGED),
}
_TEXT = r"""[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|//[^\n]*"""
#: `l.sortBy(x, key)` has one variable, but is unknown to the compiler too.
_SORT_BY = "sortBy"
_STEP = re.compile(
    rf"(?P<text>{_TEXT})|(?P<macro>\.\s*(?:{'|'.join((*_MACROS, _SORT_BY))})\s*\()|[(\[{{]|[)\]}}]|,", re.DOTALL
)
_IDENTIFIER = re.compile(r"\s*[a-zA-Z_][a-zA-Z0-9_]*\s*\Z")


@dataclass(slots=True)
class Shown:
    """A text as the compiler is shown it: pieces of what was written, and what stands between them."""

    source: str
    text: str = ""
    #: (where a piece begins in `text`, where in `source`)
    pieces: list[tuple[int, int]] = field(default_factory=list)

    def take(self, start: int, end: int) -> None:
        self.pieces.append((len(self.text), start))
        self.text += self.source[start:end]

    def add(self, text: str, at: int) -> None:
        self.pieces.append((len(self.text), at))
        self.text += text

    def error(self, place: int, words: str) -> str:
        """An error at a place of the text that is shown, as the compiler tells it, in the text that was written."""
        begin, origin = [piece for piece in self.pieces if piece[0] <= place][-1]
        at = min(origin + place - begin, len(self.source))
        above = self.source[:at].split("\n")
        line = self.source.split("\n")[len(above) - 1]
        column = len(above[-1])
        return f"ERROR: <input>:{len(above)}:{column + 1}: {words}\n | {line}\n | {'.' * column}^"


def shown(text: str) -> Shown:
    """The text without macros of two variables."""
    out = Shown(text)
    if any(name in text for name in (*_MACROS, _SORT_BY)):
        _rewrite(out, 0, len(text))
    else:
        out.take(0, len(text))
    return out


def _rewrite(out: Shown, start: int, end: int) -> None:
    at = start
    for found in _STEP.finditer(out.source, start, end):
        if found.start() < at or found["macro"] is None:
            continue
        arguments = list(_arguments(out.source, found.end(), end))
        close = arguments[-1][1] if arguments else end
        name = found["macro"].strip(". \n\t(")
        variables = 1 if name == _SORT_BY else 2
        named = [_IDENTIFIER.match(out.source[a:b]) for a, b in arguments[:variables]]
        if len(arguments) <= variables or not all(named):
            continue
        out.take(at, found.start())
        if name == _SORT_BY:
            _sort_by(out, found.start(), arguments)
        else:
            _macro(out, name, found.start(), arguments)
        at = close + 1
    out.take(at, end)


def _arguments(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The ranges of a call's arguments, which begin at `start`."""
    depth, begun = 0, start
    for found in _STEP.finditer(text, start, end):
        mark = found[0][-1]
        if found["text"] is not None:
            continue
        if mark in "([{":
            depth += 1
        elif mark == "," and depth == 0:
            yield begun, found.start()
            begun = found.end()
        elif mark in ")]}":
            if depth == 0:
                yield begun, found.start()
                return
            depth -= 1


def _macro(out: Shown, name: str, at: int, arguments: list[tuple[int, int]]) -> None:
    first, second = (out.source[a:b].strip() for a, b in arguments[:2])
    plain, after = _MACROS[name]
    out.add(f".{ENTRIES}().{plain}({_ENTRY_NAME}", at)
    for place, (begin, end) in enumerate(arguments[2:], 3):
        binds = f"cel.bind({first}, {_ENTRY_NAME}.{KEY}, cel.bind({second}, {_ENTRY_NAME}.{VALUE}, "
        out.add(f", {binds}", begin)
        pair = after == TO_MAP and place == len(arguments)
        out.add(f"[dyn({first}), dyn(" if pair else "(", begin)
        _rewrite(out, begin, end)
        out.add(")]))" if pair else ")))", end)
    out.add(")" + (f".{after}()" if after else ""), arguments[-1][1])


def _sort_by(out: Shown, at: int, arguments: list[tuple[int, int]]) -> None:
    """Pairs of a key and an item, which are sorted and then told apart again."""
    variable, (begin, end) = out.source[slice(*arguments[0])].strip(), arguments[1]
    out.add(f".map({variable}, [dyn(", at)
    _rewrite(out, begin, end)
    out.add(f"), dyn({variable})]).{SORTED}()", end)


def restore(tree: Tree) -> None:
    """Make folds over entries folds over the list or map itself, in place."""
    tree.root = _restored(tree.root, tree)


def _restored(node: Node, tree: Tree) -> Node:
    match node:
        case Select():
            node.operand = _restored(node.operand, tree)
        case Call():
            node.target = None if node.target is None else _restored(node.target, tree)
            node.arguments = [_restored(part, tree) for part in node.arguments]
        case ListOf():
            node.elements = [_restored(part, tree) for part in node.elements]
        case Struct():
            for entry in node.entries:
                entry.key = _restored(entry.key, tree) if isinstance(entry.key, Node) else entry.key
                entry.value = _restored(entry.value, tree)
        case Fold():
            if isinstance(node.range, Call) and node.range.function == ENTRIES and node.range.target is not None:
                names: dict[str, str] = {}
                node.step = _without_binds(node.step, names)
                node.variable, node.second, node.range = names[KEY], names[VALUE], node.range.target
            node.range = _restored(node.range, tree)
            for part in ("start", "condition", "step", "result"):
                setattr(node, part, _restored(getattr(node, part), tree))
    return node


def _without_binds(node: Node, names: dict[str, str]) -> Node:
    """The node with what stands in binds of an entry's parts instead of these binds; `names` gets their names."""
    if isinstance(node, Fold):
        start = node.start
        if isinstance(start, Select) and isinstance(start.operand, Name) and start.operand.name == _ENTRY_NAME:
            names.setdefault(start.field, node.result_name)
            return _without_binds(node.result, names)
        return node
    if isinstance(node, Call):
        node.arguments = [_without_binds(part, names) for part in node.arguments]
    elif isinstance(node, ListOf):
        node.elements = [_without_binds(part, names) for part in node.elements]
    return node
