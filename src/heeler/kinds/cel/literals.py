"""What is wrong with literals though their types are right: durations, times, regular expressions, lists of several types.

Source: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries (ASTValidators)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heeler.kinds.cel.checked import Call, ListOf, Literal, Node, Struct, Tree, Type, children
from heeler.kinds.cel.formatting import CLAUSE, VERBS, misfit
from heeler.kinds.cel.library import functions
from heeler.kinds.cel.values import EvaluationError

_EXEMPT = "format"  # '%s %d'.format(['a', 1]) may mix types


def problems(tree: Tree) -> Iterator[tuple[int, str]]:
    """(where in the text, what) of all that is wrong."""
    yield from _problems(tree.root, tree, exempt=False)


def _problems(node: Node, tree: Tree, *, exempt: bool) -> Iterator[tuple[int, str]]:
    if isinstance(node, Call):
        yield from _format_problems(node, tree)
        exempt = exempt or node.function == _EXEMPT
        check = _CHECKS.get(node.function)
        first = node.arguments[0] if node.arguments else None
        if check and isinstance(first, Literal) and isinstance(first.value, str) and not check(first.value):
            yield tree.positions.get(first.id, 0), f"invalid {node.function} argument"
    elif isinstance(node, ListOf) and not exempt:
        types = [_inner(tree.type(part), at in node.optional) for at, part in enumerate(node.elements)]
        yield from _mixed(tree, node.elements, types)
    elif isinstance(node, Struct) and not node.message and not exempt:
        keys = [entry.key for entry in node.entries if isinstance(entry.key, Node)]
        values = [entry.value for entry in node.entries]
        yield from _mixed(tree, keys, list(map(tree.type, keys)), every=True)
        types = [_inner(tree.type(entry.value), entry.optional) for entry in node.entries]
        yield from _mixed(tree, values, types, every=True)
    for part in children(node):
        yield from _problems(part, tree, exempt=exempt)


def _format_problems(node: Call, tree: Tree) -> Iterator[tuple[int, str]]:
    """What is wrong with a text that is formatted from a list, both told in the expression: the first fault."""
    target, given = node.target, node.arguments[0] if node.arguments else None
    if node.function != _EXEMPT or not isinstance(target, Literal) or not isinstance(given, ListOf):
        return
    here, at = tree.positions.get(node.id, 0), 0
    for clause in CLAUSE.finditer(str(target.value)):
        if clause[0] == "%%":
            continue
        if at >= len(given.elements):
            yield here, f"index {at} out of range"
            return
        part = given.elements[at]
        if (words := misfit(clause[2] or "", tree.type(part).kind)) is not None:
            unknown = clause[2] not in VERBS
            yield here if unknown else tree.positions.get(part.id, 0), words
            return
        at += 1
    if len(given.elements) > at:
        count = f"(expected {at}, got {len(given.elements)})"
        yield here, f"too many arguments supplied to string.format {count}"


def _inner(type: Type, optional: bool) -> Type:
    return type.of[0] if optional and type.of else type


def _mixed(tree: Tree, nodes: list[Node], types: list[Type], *, every: bool = False) -> Iterator[tuple[int, str]]:
    """The first part (or each) whose type isn't that of the first one."""
    for node, type in zip(nodes[1:], types[1:], strict=True):
        if type != types[0]:
            yield tree.positions.get(node.id, 0), f"expected type '{types[0]}' but found '{type}'"
            if not every:
                return


def _evaluates(function: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            functions().call(function, [text])
        except EvaluationError:
            return False
        return True

    return check


def _is_pattern(text: str) -> bool:
    try:
        functions().call("matches", ["", text])
    except EvaluationError:
        return False
    return True


_CHECKS: dict[str, Callable[[str], bool]] = {
    "duration": _evaluates("duration"),
    "timestamp": _evaluates("timestamp"),
    "matches": _is_pattern,
}
