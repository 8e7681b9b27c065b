"""JSON as Go's encoding/json writes and reads it: sorted keys, escaped signs of HTML, numbers, and faults in Go's words.

Sources: the documentation of encoding/json, RFC 8259.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any, Final

from heeler.packages.template.values import Float32, GoError, Map, NilMap, NilSlice, Struct
from heeler.packages.yaml.numbers import general32, json_number

#: Deeper nesting than Go takes.
MAX_DEPTH: Final = 10_000

# what `quote` hasn't replaced before
_TO_ESCAPE = re.compile("[\x00-\x1f<>&\u2028\u2029\ud800-\udfff]")
_TO_ESCAPE_RAW = re.compile("[\x00-\x1f\u2028\u2029\ud800-\udfff]")
_ESCAPES: Final = {"\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def _escape(found: re.Match[str]) -> str:
    sign = found[0]
    if sign in _ESCAPES:
        return _ESCAPES[sign]
    return "\\ufffd" if sign >= "\ud800" else f"\\u{ord(sign):04x}"


def quote(text: str, escape_html: bool = True) -> str:
    """Text as a JSON string."""
    if "\\" in text or '"' in text or "\n" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + (_TO_ESCAPE if escape_html else _TO_ESCAPE_RAW).sub(_escape, text) + '"'


# ---- writing ---------------------------------------------------------------------------------------------------------


def dumps(value: Any, *, indent: str = "", escape_html: bool = True) -> str:
    """The value as JSON, one line or indented. Raises `GoError` for what JSON can't hold."""
    parts: list[str] = []
    try:
        _write(value, parts.append, "\n" if indent else "", indent, escape_html)
    except RecursionError:
        raise GoError("json: unsupported value: encountered a cycle") from None
    return "".join(parts)


def _write(value: Any, put: Any, line: str, indent: str, escape_html: bool) -> None:
    """Put the value's parts; `line` is a line end with the current indentation, or nothing for compact JSON."""
    kind = type(value)
    if kind is str:
        put(quote(value, escape_html))
    elif value is None:
        put("null")
    elif kind is bool:
        put("true" if value else "false")
    elif isinstance(value, dict):
        _write_map(value, put, line, indent, escape_html)
    elif isinstance(value, list):
        if not value:
            put("null" if type(value) is NilSlice else "[]")
            return
        inner = line + indent
        before = "[" + inner
        for item in value:
            put(before)
            _write(item, put, inner, indent, escape_html)
            before = "," + inner
        put(line + "]")
    elif isinstance(value, int):
        put(str(int(value)))
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise GoError(f"json: unsupported value: {'NaN' if value != value else '+Inf' if value > 0 else '-Inf'}")
        put(_narrow(value) if kind is Float32 else json_number(value))
    elif kind is bytes:
        put('"' + base64.b64encode(value).decode() + '"')
    elif isinstance(value, Struct):
        _write_struct(json_form(value), put, line, indent, escape_html)
    elif isinstance(value, GoError):
        put("{}")
    else:
        put(quote(str(value), escape_html))


def _write_map(value: dict[Any, Any], put: Any, line: str, indent: str, escape_html: bool) -> None:
    if isinstance(value, Map) and value.go_type.startswith("map[interface"):
        raise GoError(f"json: unsupported type: {value.go_type}")
    if not value:
        put("null" if type(value) is NilMap else "{}")
        return
    inner = line + indent
    colon = '": ' if indent else '":'
    before = "{" + inner
    keys = {key if type(key) is str else str(key): key for key in value}
    for text in sorted(keys):
        put(before + quote(text, escape_html)[:-1] + colon)
        _write(value[keys[text]], put, inner, indent, escape_html)
        before = "," + inner
    put(line + "}")


def _write_struct(form: Any, put: Any, line: str, indent: str, escape_html: bool) -> None:
    """A struct's fields stand in their own order."""
    if not isinstance(form, dict):
        _write(form, put, line, indent, escape_html)
        return
    if not form:
        put("{}")
        return
    inner = line + indent
    before = "{" + inner
    for name, item in form.items():
        put(before + quote(name, escape_html) + (": " if indent else ":"))
        _write(item, put, inner, indent, escape_html)
        before = "," + inner
    put(line + "}")


def json_form(value: Struct) -> Any:
    """What encoding/json makes of a struct: what its `json_form` says, or its fields by their Go names."""
    own = getattr(value, "json_form", None)
    if own is not None:
        return own()
    return {name: getattr(value, attribute) for name, attribute in value.go_fields.items()}


def plain(value: Any) -> Any:
    """The value with its structs as maps: what is left of it on the way through JSON. Shares what needn't change."""
    if isinstance(value, Struct):
        return plain(json_form(value))
    if isinstance(value, dict):
        return {key if type(key) is str else str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _narrow(value: float) -> str:
    text = general32(value)
    return json_number(float(text))


# ---- reading ---------------------------------------------------------------------------------------------------------


def loads(text: str) -> Any:
    """The value of a JSON text, numbers as float. Raises `GoError` in encoding/json's words."""
    try:
        value = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        check(text)
        raise GoError(error.args[0] if isinstance(error, _TooLarge) else "exceeded max depth") from None
    return _replaced(value) if "\\u" in text or not text.isascii() else value


def load_into(text: str, wanted: type, go_type: str) -> Any:
    """As `loads` for a Go value of a type, `map[string]interface {}` for dict; null gives None. Raises `GoError`."""
    from heeler.objects.go_text import json_kind

    try:
        value = loads(text)
    except GoError as error:
        # that the whole is of another kind is told before what is wrong with a number in it
        kind = _KINDS.get(text.lstrip(_BLANKS)[:1], "number")
        if "cannot unmarshal" in str(error) and kind != ("object" if wanted is dict else "array"):
            raise GoError(f"json: cannot unmarshal {kind} into Go value of type {go_type}") from None
        raise
    if value is None or isinstance(value, wanted):
        return value
    raise GoError(f"json: cannot unmarshal {json_kind(value)} into Go value of type {go_type}")


class _TooLarge(ValueError):
    """A number that float64 can't hold; that counts once the text is known to be JSON."""


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _TooLarge(f"json: cannot unmarshal number {text} into Go value of type float64")
    return value


def _refuse(text: str) -> float:
    raise ValueError(text)


def _replaced(value: Any) -> Any:
    """The value with U+FFFD in place of what is no sign of Unicode."""
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    if isinstance(value, dict):
        return {_LONE.sub("\ufffd", key): _replaced(item) for key, item in value.items()}
    return value


_LONE = re.compile("[\ud800-\udfff]")

_BLANKS: Final = " \t\r\n"
_STRING_END = re.compile('["\\\\\x00-\x1f]')
_KINDS: Final = {"{": "object", "[": "array", '"': "string"}
_LITERALS: Final = {"t": "true", "f": "false", "n": "null"}


class _End(Exception):
    """The text ended where more was needed."""


def check(text: str) -> None:
    """Raise `GoError` for the first fault in a JSON text. Go looks at one blank behind the end, which shows in its words."""
    scan = _Scan(text + " ")
    try:
        at = scan.blanks(scan.value(scan.blanks(0), 0))
        if at < len(scan.text):
            raise scan.fault(at, "after top-level value")
    except _End:
        raise GoError("unexpected end of JSON input") from None
    except RecursionError:
        raise GoError("exceeded max depth") from None


class _Scan:
    """Walks over JSON without keeping values."""

    def __init__(self, text: str) -> None:
        self.text = text

    def fault(self, at: int, where: str) -> Exception:
        return GoError(f"invalid character {_sign(self.text[at])} {where}")

    def blanks(self, at: int) -> int:
        text = self.text
        while at < len(text) and text[at] in _BLANKS:
            at += 1
        return at

    def here(self, at: int) -> str:
        if at >= len(self.text):
            raise _End
        return self.text[at]

    def value(self, at: int, depth: int) -> int:
        """Where the value that begins at `at` ends."""
        if depth > MAX_DEPTH:
            raise GoError("exceeded max depth")
        sign = self.here(at)
        if sign == "{":
            return self.object(at, depth)
        if sign == "[":
            return self.array(at, depth)
        if sign == '"':
            return self.string(at)
        if sign == "-" or "0" <= sign <= "9":
            return self.number(at)
        if sign in _LITERALS:
            word = _LITERALS[sign]
            for offset in range(1, len(word)):
                if self.here(at + offset) != word[offset]:
                    raise self.fault(at + offset, f"in literal {word} (expecting {_sign(word[offset])})")
            return at + len(word)
        raise self.fault(at, "looking for beginning of value")

    def object(self, at: int, depth: int) -> int:
        at = self.blanks(at + 1)
        if self.here(at) == "}":
            return at + 1
        while True:
            if self.here(at) != '"':
                raise self.fault(at, "looking for beginning of object key string")
            at = self.blanks(self.string(at))
            if self.here(at) != ":":
                raise self.fault(at, "after object key")
            at = self.blanks(self.value(self.blanks(at + 1), depth + 1))
            if self.here(at) == "}":
                return at + 1
            if self.text[at] != ",":
                raise self.fault(at, "after object key:value pair")
            at = self.blanks(at + 1)

    def array(self, at: int, depth: int) -> int:
        at = self.blanks(at + 1)
        if self.here(at) == "]":
            return at + 1
        while True:
            at = self.blanks(self.value(at, depth + 1))
            if self.here(at) == "]":
                return at + 1
            if self.text[at] != ",":
                raise self.fault(at, "after array element")
            at = self.blanks(at + 1)

    def string(self, at: int) -> int:
        at += 1
        while found := _STRING_END.search(self.text, at):
            at = found.start()
            if found[0] == '"':
                return at + 1
            if found[0] != "\\":
                raise self.fault(at, "in string literal")
            escape = self.here(at + 1)
            if escape == "u":
                for offset in range(2, 6):
                    if self.here(at + offset) not in "0123456789abcdefABCDEF":
                        raise self.fault(at + offset, "in \\u hexadecimal character escape")
                at += 6
            elif escape in 'bfnrt\\/"':
                at += 2
            else:
                raise self.fault(at + 1, "in string escape code")
        raise _End

    def number(self, at: int) -> int:
        if self.text[at] == "-":
            at += 1
            if not "0" <= self.here(at) <= "9":
                raise self.fault(at, "in numeric literal")
        at = at + 1 if self.text[at] == "0" else self.digits(at)
        if self.here(at) == ".":
            at += 1
            if not "0" <= self.here(at) <= "9":
                raise self.fault(at, "after decimal point in numeric literal")
            at = self.digits(at)
        if self.here(at) in "eE":
            at += 1
            if self.here(at) in "+-":
                at += 1
            if not "0" <= self.here(at) <= "9":
                raise self.fault(at, "in exponent of numeric literal")
            at = self.digits(at)
        return at

    def digits(self, at: int) -> int:
        while "0" <= self.here(at) <= "9":
            at += 1
        return at


def _sign(sign: str) -> str:
    """A byte as Go quotes it in such a fault: the first byte of a longer sign, as if it were Latin-1."""
    if sign == "'":
        return "'\\''"
    if sign == '"':
        return "'\"'"
    code = sign.encode("utf-8", "surrogateescape")[0]
    shown = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 92: "\\\\"}.get(code)
    if shown is None:
        shown = chr(code) if chr(code).isprintable() else f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}"
    return f"'{shown}'"
