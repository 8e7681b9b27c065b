"""JSON Patch (RFC 6902), with the leniences that Kubernetes' API server shows.

Those are: a negative index counts from the end, `replace` makes what is missing, `copy` of nothing gives null, and
`test` for null passes where nothing is. Containers that a patch walked through come out with sorted keys (their order
shows in upstream's messages).
"""

from __future__ import annotations

from typing import Any

import orjson

from heeler.objects.go_text import kind
from heeler.objects.status import StatusError, bad_request, too_large
from heeler.objects.value import Object, Value

#: A longer patch is refused (upstream's limit).
MAX_OPERATIONS = 10_000

#: Bytes that the `copy` operations of a patch may add together (upstream's limit is that of a request).
MAX_COPIED_BYTES = 3 * 1024 * 1024

#: Digits of an index into anything that there is.
_INDEX_DIGITS = 18

#: What broken JSON answers, for every patch type.
BROKEN = "invalid JSON patch"


class Refused(Exception):
    """An operation can't be done; clients are only told that their patch was refused, writers of policies why."""


class TestFailed(Refused):
    """A `test` found something else."""


class _Missing(Refused):
    """A path leads nowhere."""


class _Misplaced(Refused):
    """A path leads somewhere, where its end isn't."""


def decode(body: bytes) -> list[Object]:
    """The operations of a patch. Raises StatusError: 400 for what is not a list of objects, 413 for too many."""
    try:
        found = orjson.loads(body)
    except ValueError:
        raise bad_request(BROKEN) from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise bad_request(f"error decoding patch: {mismatch(found, '[]handlers.jsonPatchOp')}")
    for op in found:
        if op is not None and not isinstance(op, dict):
            raise bad_request(f"error decoding patch: {mismatch(op, 'handlers.jsonPatchOp')}")
    if len(found) > MAX_OPERATIONS:
        raise too_large(f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(found)}")
    return [op or {} for op in found]


def mismatch(value: Value, wanted: str) -> str:
    """How Go's decoder says that a value has the wrong type."""
    word = {"bool": "bool", "int64": "number", "float64": "number", "string": "string", "[]interface {}": "array"}
    return f"json: cannot unmarshal {word.get(kind(value), 'object')} into Go value of type {wanted}"


def apply(doc: Value, ops: list[Object]) -> Value:
    """The patched document; `doc` itself stays as it is. Raises StatusError 422 if an operation can't be done."""
    try:
        return patched(doc, ops)
    except Refused:
        message = "the server rejected our request due to an error in our request"
        raise StatusError(422, "Invalid", message, {}) from None


def patched(doc: Value, ops: list[Object]) -> Value:
    """The same. Raises Refused, with words for whoever wrote the patch."""
    work = _Work(doc)
    for op in ops:
        try:
            work.run(op)
        except _Missing:
            words = (
                f'{op.get("op")} operation does not apply: doc is missing path: "{op.get("path") or ""}": missing value'
            )
            raise Refused(words) from None
        except _Misplaced as error:
            path = op.get("from", "").removeprefix("/") if op.get("op") == "move" else op.get("path")
            raise Refused(f"error in {op.get('op')} for path: '{path}': {error}") from None
    return work.finished()


class _Work:
    """A document that is being patched. Containers are copied when they are first walked through, then changed in place."""

    def __init__(self, doc: Value) -> None:
        self.doc = doc
        self._own: dict[int, Any] = {}
        self._copied = 0

    def run(self, op: Object) -> None:
        path = op.get("path")
        if not isinstance(path, str):
            raise _Missing("no path")
        match op.get("op"):
            case "add":
                self._change(path, _add, op.get("value"))
            case "remove":
                self._change(path, _remove, None)
            case "replace" if path == "":
                if not isinstance(op.get("value"), (dict, list)):
                    raise Refused("the whole document must be an object or a list")
                self.doc = op["value"]
            case "replace":
                self._change(path, _replace, op.get("value"))
            case "test":
                if not _same(_find(self.doc, path), op.get("value")):
                    raise TestFailed(f"testing value {path} failed: test failed")
            case "move":
                value = _find(self.doc, _origin(op))
                self._change(_origin(op), _remove, None)
                self._change(path, _add, value)
            case "copy":
                self._change(path, _add, self._twin(_find(self.doc, _origin(op))))
            case _:
                raise Refused(f"Unexpected kind: {op.get('op')}")

    def _twin(self, value: Value) -> Value:
        """A copy that shares nothing. Copies of copies grow fast, so their size is limited."""
        raw = orjson.dumps(value)
        self._copied += len(raw)
        if self._copied > MAX_COPIED_BYTES:
            raise Refused("too much is copied")
        twin: Value = orjson.loads(raw)
        return twin

    def _change(self, path: str, change: Any, value: Value) -> None:
        tokens = _tokens(path)
        self.doc = node = self._mine(self.doc)
        for token in tokens[:-1]:
            if isinstance(node, dict) and token not in node:
                raise _Missing("nothing there")
            at: Any = token if isinstance(node, dict) else _index(node, token)
            node[at] = self._mine(node[at])
            node = node[at]
        change(node, tokens[-1], value)

    def _mine(self, node: Value) -> Any:
        """The container, as one that may be changed."""
        if not isinstance(node, (dict, list)):
            raise Refused("no container")
        if id(node) not in self._own:
            node = node.copy()
            self._own[id(node)] = node  # held, so that its id stays its own
        return node

    def finished(self) -> Value:
        for node in self._own.values():
            if isinstance(node, dict):
                ordered = sorted(node.items())
                node.clear()
                node.update(ordered)
        return self.doc


def _origin(op: Object) -> str:
    origin = op.get("from")
    if not isinstance(origin, str):
        raise Refused("no origin")
    return origin


def _tokens(path: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901); what stands before the first slash is ignored."""
    parts = path.split("/")[1:]
    if not parts:
        raise _Missing("path names the whole document")
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def _index(items: list[Value], token: str, room: int = 0) -> int:
    """A list index, `room` 1 if one may point behind the last item."""
    digits = token[1:] if token[:1] in ("-", "+") else token
    if not (digits.isascii() and digits.isdigit()):
        raise Refused("not an index")
    size = len(items) + room
    at = int(token) if len(digits) <= _INDEX_DIGITS else size
    if at >= size or at < -size:
        raise _Misplaced(f"Unable to access invalid index: {token}: invalid index referenced")
    return at + size if at < 0 else at


def _find(doc: Value, path: str) -> Value:
    """What is at a path, None where an object has no such key."""
    if path == "":
        return doc
    for depth, token in enumerate(tokens := _tokens(path)):
        if isinstance(doc, dict):
            doc = doc.get(token)
        elif isinstance(doc, list):
            doc = doc[_index(doc, token)]
        else:
            raise Refused("no container")
        if doc is None and depth < len(tokens) - 1:
            raise _Missing("nothing there")
    return doc


def _add(target: Any, token: str, value: Value) -> None:
    if isinstance(target, dict):
        target[token] = value
    elif token == "-":
        target.append(value)
    else:
        target.insert(_index(target, token, room=1), value)


def _replace(target: Any, token: str, value: Value) -> None:
    target[token if isinstance(target, dict) else _index(target, token)] = value


def _remove(target: Any, token: str, _: Value) -> None:
    if isinstance(target, dict):
        if token not in target:
            raise _Misplaced(f"Unable to remove nonexistent key: {token}: missing value")
        del target[token]
    else:
        del target[_index(target, token)]


def _same(left: Value, right: Value) -> bool:
    """Equal as JSON: 1, 1.0 and true are three different values."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)
