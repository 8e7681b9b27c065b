"""YAML as Helm reads it: YAML 1.1 by the rules of Go's yaml library, then as if it went through JSON.

`load` gives what `sigs.k8s.io/yaml` gives for `interface{}`: maps with text keys, lists, text, float64 for all numbers. `parse`
keeps whole numbers apart from others, for whoever reads into typed fields. Only the first document counts; `documents` splits a
stream as Kubernetes' reader does.

libyaml scans (Go's library is a port of it, so its words are the same); what follows is decided here. Faults are `GoError`s in
Go's words. Aliases are expanded within Go's bound on them.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from typing import Any, Final

from heeler.objects.go_text import json_kind
from heeler.packages.template.values import GoError
from heeler.packages.yaml.numbers import general32
from heeler.packages.yaml.scalars import is_stamp, resolve

_TAG: Final = "tag:yaml.org,2002:"

#: Tags whose text is looked at; any other leaves text as it is.
_RESOLVED: Final = frozenset(_TAG + name for name in ("str", "bool", "int", "float", "null", "timestamp", "binary"))

#: How large a part of all values may come from aliases: up to the first count of values the first part, from the second on
#: the second part, in between in proportion.
ALIAS_FREE_VALUES: Final = 1_000
ALIAS_FREE_ALIASES: Final = 100
ALIAS_RATIOS: Final = ((400_000, 0.99), (4_000_000, 0.10))

#: Deeper nesting than Python's stack allows is refused in the words of Go's own bound.
TOO_DEEP: Final = "exceeded max depth of 10000"


def load(source: str | bytes) -> Any:
    """The first document as a value of templates, numbers as float. Raises `GoError`."""
    return _read(source, whole_numbers=False, strict=False)


def parse(source: str | bytes, *, strict: bool = False) -> Any:
    """As `load`, but whole numbers stay int. `strict` refuses keys that are there twice."""
    return _read(source, whole_numbers=True, strict=strict)


def load_map(source: str | bytes) -> dict[str, Any]:
    """The first document, which must be a map; nothing at all is an empty one. Raises `GoError`."""
    value = load(source)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GoError(
            UNMARSHAL + f"json: cannot unmarshal {json_kind(value)} into Go value of type map[string]interface {{}}"
        )
    return value


def load_list(source: str | bytes) -> list[Any] | None:
    """The first document, which must be a list, or nothing (None). Raises `GoError`."""
    value = load(source)
    if value is None or isinstance(value, list):
        return value
    raise GoError(UNMARSHAL + f"json: cannot unmarshal {json_kind(value)} into Go value of type []interface {{}}")


#: What stands before a fault in reading YAML, and before one in what was read.
CONVERT: Final = "error converting YAML to JSON: "
UNMARSHAL: Final = "error unmarshaling JSON: while decoding JSON: "


def documents(text: str) -> Iterator[str]:
    """The documents of a stream, as Kubernetes' YAML reader parts it: at lines that begin with `---`, behind which only
    a comment may stand. Raises `GoError` where something else does.
    """
    start = begin = 0
    while begin < len(text):
        end = text.find("\n", begin) + 1 or len(text)
        if text.startswith("---", begin):
            behind = text[begin + 3 : end].strip()
            if behind and not behind.startswith("#"):
                raise GoError(f"invalid Yaml document separator: {behind}")
            if begin > start:
                yield text[start:begin]
                start = end
        begin = end
    if start < len(text):
        yield text[start:]


# ---- events ----------------------------------------------------------------------------------------------------------


def _read(source: str | bytes, *, whole_numbers: bool, strict: bool) -> Any:
    data = source if isinstance(source, bytes) else source.encode("utf-8", "surrogateescape")
    try:
        events, aliases = _events(data)
        return _Decoder(events, aliases, whole_numbers, strict).document()
    except RecursionError:
        raise GoError(CONVERT + "yaml: " + TOO_DEEP) from None
    except GoError as error:
        raise GoError(CONVERT + str(error)) from None


_COLON_IN_FLOW: Final = re.compile(r"(?<![\s\"'\[\]{},]):(?=[\[\]{},])")
_PRIVATE_SIGNS: Final = range(0xE000, 0xF8FF)


def _events(data: bytes) -> tuple[list[Any], dict[int, int]]:
    """The events of the first document without its ends, and for each alias (by index) the index of what it means.

    Go's reader and ours differ about plain text in `[…]` and `{…}`: there `a:` is text before a bracket or a comma, which
    ours refuses, and `?` ends a text.
    """
    try:
        found = _parsed(data)
    except _UnexpectedColon as error:
        text = data.decode("utf-8", "replace")
        sign = next(chr(code) for code in _PRIVATE_SIGNS if chr(code) not in text)
        mended = _COLON_IN_FLOW.sub(sign, text)
        if mended == text:
            raise GoError(str(error)) from None
        found = _parsed(mended.encode())
        for event in found[0]:
            if sign in (getattr(event, "value", None) or ""):
                event.value = event.value.replace(sign, ":")
    if b"?" in data:
        _check_question_marks(found[0])
    return found


class _UnexpectedColon(GoError):
    """What the reader says of `a:` before a bracket or a comma."""


def _check_question_marks(events: list[Any]) -> None:
    """Refuse plain text with a `?` in it between brackets, as Go does. Raises `GoError`."""
    from yaml.events import MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

    closing: list[str] = []
    for event in events:
        kind = type(event)
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            closing.append(("}" if kind is MappingStartEvent else "]") if event.flow_style else "")
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            closing.pop()
        elif kind is ScalarEvent and closing and closing[-1] and not event.style and "?" in event.value[1:]:
            raise GoError(f"yaml: {_at(event.start_mark.line)}did not find expected ',' or '{closing[-1]}'")


def _parsed(data: bytes) -> tuple[list[Any], dict[int, int]]:
    """As `_events`, as far as the reader goes."""
    from yaml._yaml import CParser
    from yaml.error import MarkedYAMLError, YAMLError
    from yaml.events import AliasEvent, DocumentEndEvent, DocumentStartEvent, StreamEndEvent

    parser = CParser(data)
    events: list[Any] = []
    aliases: dict[int, int] = {}
    anchors: dict[str, int] = {}
    try:
        parser.get_event()
        start = parser.get_event()
        if isinstance(start, StreamEndEvent):
            return events, aliases
        if isinstance(start, DocumentStartEvent) and start.version not in (None, (1, 1)):
            raise GoError(
                "yaml: " + _at(start.start_mark.line if start.start_mark else 0) + "found incompatible YAML document"
            )
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is DocumentEndEvent:
                return events, aliases
            anchor = getattr(event, "anchor", None)
            if anchor is not None:
                if kind is AliasEvent:
                    if anchor not in anchors:
                        raise GoError(f"yaml: unknown anchor '{anchor}' referenced")
                    aliases[len(events)] = anchors[anchor]
                else:
                    anchors[anchor] = len(events)
            events.append(event)
    except MarkedYAMLError as error:
        if error.problem == "found unexpected ':'":
            raise _UnexpectedColon("yaml: " + _marked(error)) from None
        raise GoError("yaml: " + _marked(error)) from None
    except YAMLError as error:
        raise GoError(f"yaml: {getattr(error, 'reason', error)}") from None


def _marked(error: Any) -> str:
    """A scanner's or parser's fault with its line, as Go counts it: a parser's is one too low, and line 0 isn't told."""
    from yaml.scanner import ScannerError

    line = error.problem_mark.line if error.problem_mark else 0
    if line:
        line += isinstance(error, ScannerError)
    elif error.context_mark:
        line = error.context_mark.line
    problem = str(error.problem)
    if problem == "exceeded maximum nesting depth":
        problem = TOO_DEEP
    return _at(line) + problem


def _at(line: int) -> str:
    return f"line {line}: " if line else ""


# ---- values ----------------------------------------------------------------------------------------------------------


def refuse_infinite(value: Any) -> None:
    """Raise `GoError` for the first number, in JSON's order, that JSON has no form for."""
    if isinstance(value, float) and not math.isfinite(value):
        raise GoError(f"json: unsupported value: {'NaN' if value != value else '+Inf' if value > 0 else '-Inf'}")
    if isinstance(value, list):
        for item in value:
            refuse_infinite(item)
    elif isinstance(value, dict):
        for key in sorted(value):
            refuse_infinite(value[key])


class _Decoder:
    """Values out of the events of one document."""

    def __init__(self, events: list[Any], aliases: dict[int, int], whole_numbers: bool, strict: bool) -> None:
        from yaml.events import MappingEndEvent, MappingStartEvent, ScalarEvent, SequenceEndEvent, SequenceStartEvent

        self.events, self.aliases, self.whole_numbers, self.strict = events, aliases, whole_numbers, strict
        self.position = 0
        self.inside_key = False
        self.open_aliases: set[int] = set()
        self.values = 0
        self.values_of_aliases = 0
        self.twice: list[str] = []
        self.has_infinite = False
        self.mapping, self.mapping_end = MappingStartEvent, MappingEndEvent
        self.sequence, self.sequence_end = SequenceStartEvent, SequenceEndEvent
        self.scalar = ScalarEvent

    def document(self) -> Any:
        value = self.value() if self.events else None
        if self.twice:
            raise GoError("yaml: unmarshal errors:\n" + "\n".join(f"  {fault}" for fault in self.twice))
        if self.has_infinite:
            refuse_infinite(value)
        return value

    def value(self) -> Any:
        event = self.events[self.position]
        kind = type(event)
        self.values += 1
        if self.open_aliases:
            self.values_of_aliases += 1
            self._check_aliases()
        if kind is self.scalar:
            self.position += 1
            value = self._scalar(event)
            if type(value) is float:
                if not math.isfinite(value):
                    self.has_infinite = True
            elif type(value) is int and not self.whole_numbers:
                return float(value)
            return value
        if kind is self.mapping:
            self.position += 1
            result: dict[str, Any] = {}
            self._fill(result)
            return result
        if kind is self.sequence:
            self.position += 1
            items = []
            while type(self.events[self.position]) is not self.sequence_end:
                items.append(self.value())
            self.position += 1
            return items
        here = self.position
        back = self._enter(here, event)
        value = self.value()
        self._leave(here, back)
        return value

    def _fill(self, result: dict[str, Any]) -> None:
        """Read a mapping's pairs, whose start has been read, into `result`: later ones win, merged ones too."""
        seen: set[tuple[type, Any]] = set()
        nothing: list[Any] = []
        while type(event := self.events[self.position]) is not self.mapping_end:
            if (
                type(event) is self.scalar
                and event.value == "<<"
                and (event.implicit[0] if event.tag is None else event.tag == _TAG + "merge")
            ):
                self.position += 1
                self._merge(result)
                continue
            key = self._key(event)
            if self.strict:
                if (type(key), key) in seen:
                    self.twice.append(f"line {event.start_mark.line + 1}: key {go_syntax(key)} already set in map")
                seen.add((type(key), key))
            value = self.value()
            if type(key) is str or self.inside_key:
                result[key] = value
            elif key is None:
                # told once the map is read: as one key, it has the last value
                nothing = [value]
            else:
                result[key_text(key, value)] = value
        self.position += 1
        if nothing:
            key_text(None, nothing[0])

    def _key(self, event: Any) -> Any:
        if type(event) is self.scalar:
            self.position += 1
            self.values += 1
            return self._scalar(event)
        here = self.position
        if here in self.aliases:
            back = self._enter(here, event)
            key = self._key(self.events[self.position])
            self._leave(here, back)
            return key
        self.whole_numbers = self.inside_key = True
        key = self.value()
        raise GoError("yaml: invalid map key: " + go_syntax(key))

    def _merge(self, result: dict[str, Any]) -> None:
        """Read what stands under `<<` into `result`: of a list the first map that has a key gives its value."""
        if self._merge_map(result):
            return
        if type(self.events[self.position]) is not self.sequence:
            raise GoError(WANTS_MAP)
        self.position += 1
        merged: list[dict[str, Any]] = []
        while type(self.events[self.position]) is not self.sequence_end:
            merged.append({})
            if not self._merge_map(merged[-1]):
                raise GoError(WANTS_MAP)
        self.position += 1
        for one in reversed(merged):
            result.update(one)

    def _merge_map(self, result: dict[str, Any]) -> bool:
        """Read a map, or an alias of one, into `result`; False if it is something else."""
        here = self.position
        event = self.events[here]
        if type(event) is self.mapping:
            self.position += 1
            self._fill(result)
            return True
        if here not in self.aliases:
            return False
        if type(self.events[self.aliases[here]]) is not self.mapping:
            raise GoError(WANTS_MAP)
        back = self._enter(here, event)
        self.position += 1
        self._fill(result)
        self._leave(here, back)
        return True

    def _enter(self, here: int, event: Any) -> int:
        """Go to what the alias at `here` means; returns where to go on after it."""
        if here in self.open_aliases:
            raise GoError(f"yaml: anchor '{event.anchor}' value contains itself")
        self.open_aliases.add(here)
        self.position = self.aliases[here]
        return here + 1

    def _leave(self, here: int, back: int) -> None:
        self.open_aliases.discard(here)
        self.position = back

    def _check_aliases(self) -> None:
        if self.values_of_aliases <= ALIAS_FREE_ALIASES or self.values <= ALIAS_FREE_VALUES:
            return
        (low, most), (high, least) = ALIAS_RATIOS
        part = min(1.0, max(0.0, (self.values - low) / (high - low)))
        if self.values_of_aliases / self.values > most + (least - most) * part:
            raise GoError("yaml: document contains excessive aliasing")

    def _scalar(self, event: Any) -> Any:
        tag, text = event.tag, event.value
        if tag is None:
            return resolve(text) if event.implicit[0] else text
        return self._tagged(tag, text) if tag in _RESOLVED else text

    def _tagged(self, tag: str, text: str) -> Any:
        """The value of text whose tag is told. Raises `GoError` where they don't go together."""
        name = tag.removeprefix(_TAG)
        if name == "str":
            return text
        if name == "binary":
            return _binary(text)
        value = resolve(text)
        found = scalar_tag(value)
        if name == found:
            return value
        if name == "float" and found == "int":
            assert isinstance(value, int)
            return float(value)
        if name == "timestamp" and found == "str" and is_stamp(text):
            return text
        raise GoError(f"yaml: cannot decode !!{found} `{text}` as a !!{name}")


WANTS_MAP: Final = "yaml: map merge requires map or sequence of maps as the value"


def scalar_tag(value: Any) -> str:
    """The short name of a scalar's tag in YAML."""
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case _:
            return "str"


def _binary(text: str) -> str:
    """Text out of base64; what is no UTF-8 in it is replaced, as on the way through JSON."""
    try:
        data = base64.b64decode("".join(text.split("\n")).replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        raise GoError("yaml: !!binary value contains invalid base64 data") from None
    return data.decode("utf-8", "replace")


def key_text(key: Any, value: Any) -> str:
    """A key of a map as JSON has it. Raises `GoError` for keys that JSON can't have."""
    match key:
        case str():
            return key
        case bool():
            return "true" if key else "false"
        case int() if key < 1 << 63:
            return str(key)
        case float():
            if math.isinf(key):
                return ".inf" if key > 0 else "-.inf"
            return ".nan" if key != key else general32(key)
    kind = "%!s(<nil>)" if key is None else "uint64"
    shown = "<nil>" if key is None else hex(key)
    told = "<nil>" if value is None else go_syntax(value)
    raise GoError(f"unsupported map key of type: {kind}, key: {shown}, value: {told}")


def go_syntax(value: Any) -> str:
    """A value that was read, as Go's `%#v`."""
    match value:
        case None:
            return "interface {}(nil)"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case dict():
            inside = ", ".join(f"{go_syntax(key)}:{go_syntax(item)}" for key, item in value.items())
            return "map[interface {}]interface {}{" + inside + "}"
        case list():
            return "[]interface {}{" + ", ".join(map(go_syntax, value)) + "}"
        case float() if value.is_integer() and abs(value) < 1e21:
            return str(int(value))
        case _:
            return str(value)


def quoted(text: str) -> str:
    """Text as Go's `%q` for what is plain enough; other signs as escapes."""
    escapes = {
        "\n": "\\n",
        "\t": "\\t",
        "\r": "\\r",
        '"': '\\"',
        "\\": "\\\\",
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\v": "\\v",
    }
    return '"' + "".join(escapes.get(c) or (c if c.isprintable() else f"\\u{ord(c):04x}") for c in text) + '"'
