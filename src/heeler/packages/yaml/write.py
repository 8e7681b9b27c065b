"""YAML as Helm writes it: `dump` is toYaml, `dump_pretty` is toYamlPretty.

toYaml goes through JSON and Go's yaml library v2: numbers as JSON has them, folded near 80 columns, lists not indented.
toYamlPretty is the library v3 on the value itself: nothing is folded, lists are indented. Both sort keys as people would (`a9`
before `a10`) and quote what would be read as something else; both choose a text's style by libyaml's rules.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache
from typing import Any, Final

from heeler.packages.template.values import Float32, GoError, NilMap, NilSlice, Struct
from heeler.packages.yaml.json import json_form, quote
from heeler.packages.yaml.numbers import general, general32
from heeler.packages.yaml.scalars import CONSTANTS, FIRST_OF_OTHERS, is_stamp, resolve

#: The column after which text is folded at a blank.
FOLD_AT: Final = 80

#: A longer key stands behind a `?`.
KEY_BYTES: Final = 128

#: A longer key, with its quotes, isn't read as a key, nor is one with a line end: toYaml, which reads JSON as YAML, fails.
READABLE_KEY: Final = 1024
NO_SIMPLE_KEY: Final = "did not find expected ',' or '}'"


def dump(value: Any) -> str:
    """The value as toYaml writes it, with a line end. Raises `GoError` for what JSON can't hold."""
    return _dump(value, _V2)


def dump_pretty(value: Any) -> str:
    """The value as toYamlPretty writes it, with a line end."""
    return _dump(value, _V3)


class AsIs(str):
    """Text that needs no quotes, such as a moment."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Dialect:
    """What the two libraries do differently."""

    fold_at: float
    #: how far a list inside of a map is moved in
    list_indent: int
    through_json: bool
    #: whether text means itself when it stands without quotes
    before: Callable[[str, str], int]


def _dump(value: Any, dialect: _Dialect) -> str:
    out: list[str] = []
    try:
        _node(value, 0, "", out.append, dialect, 0)
    except RecursionError:
        raise GoError("yaml: exceeded max depth of 10000") from None
    return "".join(out)


# ---- nodes -----------------------------------------------------------------------------------------------------------


def _node(value: Any, indent: int, lead: str, put: Callable[[str], None], dialect: _Dialect, column: int) -> None:
    """Write a value that stands for itself or behind `- `; collections go on in the line, at column `indent`.

    `lead` is what has been written of the line and isn't out yet; text goes on two columns right of `indent - 2`.
    """
    kind = type(value)
    if kind is bytes and not dialect.through_json:
        value = list(value)
    if kind is dict or isinstance(value, dict):
        if value:
            _mapping(value, indent, lead, put, dialect)
        else:
            put(lead + _empty(value, dialect) + "\n")
    elif isinstance(value, list):
        if value:
            _sequence(value, indent, lead, put, dialect)
        else:
            put(lead + _empty(value, dialect) + "\n")
    elif isinstance(value, Struct):
        form = json_form(value) if dialect.through_json else _yaml_form(value)
        if isinstance(form, dict) and not dialect.through_json and form:
            _mapping(form, indent, lead, put, dialect, ordered=True)
        else:
            _node(form, indent, lead, put, dialect, column)
    else:
        put(lead + scalar(value, len(lead), column, dialect) + "\n")


def _empty(value: Any, dialect: _Dialect) -> str:
    if dialect.through_json and type(value) in (NilMap, NilSlice):
        return "null"
    return "{}" if isinstance(value, dict) else "[]"


def _mapping(
    value: dict[Any, Any],
    indent: int,
    lead: str,
    put: Callable[[str], None],
    dialect: _Dialect,
    ordered: bool = False,
) -> None:
    """Write the pairs of a map that isn't empty at column `indent`; the first goes on behind `lead`."""
    margin = " " * indent
    deeper = indent + 2
    for key in value if ordered else sorted_keys(value, dialect):
        item = value[key]
        text = key if type(key) is str else str(key)
        shown = _key(text, dialect)
        if shown is None:
            put(lead + "? " + scalar(text, indent + 2, deeper, dialect) + "\n")
            _node(item, deeper, margin + ": ", put, dialect, deeper)
            lead = margin
            continue
        lead += shown + ":"
        if type(item) is bytes and not dialect.through_json:
            item = list(item)
        if type(item) is str:
            put(lead + " " + scalar(item, len(lead) + 1, deeper, dialect) + "\n")
        elif isinstance(item, dict):
            if item:
                put(lead + "\n")
                _mapping(item, deeper, " " * deeper, put, dialect)
            else:
                put(f"{lead} {_empty(item, dialect)}\n")
        elif isinstance(item, list):
            if item:
                put(lead + "\n")
                under = indent + dialect.list_indent
                _sequence(item, under, " " * under, put, dialect)
            else:
                put(f"{lead} {_empty(item, dialect)}\n")
        elif isinstance(item, Struct):
            form = json_form(item) if dialect.through_json else _yaml_form(item)
            if isinstance(form, dict) and form:
                put(lead + "\n")
                _node(item, deeper, " " * deeper, put, dialect, deeper)
            else:
                _node(form, deeper, lead + " ", put, dialect, deeper)
        else:
            put(lead + " " + scalar(item, len(lead) + 1, deeper, dialect) + "\n")
        lead = margin


def _sequence(value: list[Any], indent: int, lead: str, put: Callable[[str], None], dialect: _Dialect) -> None:
    """Write the items of a list that isn't empty at column `indent`; the first goes on behind `lead`."""
    margin = " " * indent
    for item in value:
        _node(item, indent + 2, lead + "- ", put, dialect, indent + 2)
        lead = margin


def _yaml_form(value: Struct) -> Any:
    """A struct without tags for YAML: its fields by their names in small letters."""
    own = getattr(value, "yaml_form", None)
    if own is not None:
        return own()
    return {name.lower(): getattr(value, attribute) for name, attribute in value.go_fields.items()}


# ---- order of keys ---------------------------------------------------------------------------------------------------

_SIMPLE_KEYS = re.compile(r"[A-Za-z./-]*\Z")


def sorted_keys(value: dict[Any, Any], dialect: _Dialect) -> list[Any]:
    """The keys in the order they are written in."""
    keys = list(value)
    if len(keys) < 2:
        return keys
    for key in keys:
        if type(key) is not str:
            return sorted(keys) if all(type(k) is not str for k in keys) else sorted(keys, key=str)
        if not _SIMPLE_KEYS.match(key):
            keys.sort(key=cmp_to_key(dialect.before))
            return keys
    keys.sort()
    return keys


def _natural_v2(one: str, other: str) -> int:
    return _natural(one, other, letters_after_digits_first=False)


def _natural_v3(one: str, other: str) -> int:
    return _natural(one, other, letters_after_digits_first=True)


def _natural(one: str, other: str, letters_after_digits_first: bool) -> int:
    """Compare at the first place where two keys differ: letters by their code and behind all others, numbers by value."""
    place = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), None)
    if place is None:
        return len(one) - len(other)
    a, b = one[place], other[place]
    if a.isalpha() and b.isalpha():
        return -1 if a < b else 1
    if a.isalpha() or b.isalpha():
        if letters_after_digits_first and place and one[place - 1].isdecimal():
            return -1 if a.isalpha() else 1
        return -1 if b.isalpha() else 1
    left, right = _digits(one, place), _digits(other, place)
    # with a zero in play, digits before that aren't zeros make both numbers longer
    stem = "1" if "0" in (a, b) and one[:place].rstrip("0")[-1:].isdecimal() and _only_digits(one, place) else ""
    numbers = _number(stem + left), _number(stem + right)
    if numbers[0] != numbers[1]:
        return -1 if numbers[0] < numbers[1] else 1
    if len(left) != len(right):
        return len(left) - len(right)
    return -1 if a < b else 1


def _only_digits(text: str, place: int) -> bool:
    return place > 0 and text[place - 1].isdecimal()


def _digits(text: str, start: int) -> str:
    end = start
    while end < len(text) and text[end].isdecimal():
        end += 1
    return text[start:end]


def _number(digits: str) -> int:
    """The value of digits as it overflows in 64 bits."""
    value = int(digits or "0") & ((1 << 64) - 1)
    return value - (1 << 64) if value >> 63 else value


# ---- scalars ---------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z")
_OLD_BOOLEANS: Final = frozenset(text for text, value in CONSTANTS.items() if isinstance(value, bool))
_CORE_CONSTANTS: Final = frozenset(
    text for text, value in CONSTANTS.items() if not isinstance(value, bool) or text.lower() in ("true", "false")
)


def _is_plain(text: str) -> bool:
    if text and text[0] not in FIRST_OF_OTHERS:
        return True
    return type(resolve(text)) is str and not is_stamp(text) and not _BASE_60.match(text)


def scalar(value: Any, column: int, indent: int, dialect: _Dialect) -> str:
    """A scalar that begins at `column`; where it takes several lines, the others begin at `indent` (2 at the top)."""
    kind = type(value)
    if kind is str:
        if _WORD.match(value) and column + len(value) <= FOLD_AT and value not in CONSTANTS:
            return str(value)
        return _text(value, column, indent or 2, dialect)
    if kind is AsIs:
        return str(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return _float(value, dialect)
    if kind is bytes:
        return _text(base64.b64encode(value).decode(), column, indent or 2, dialect)
    if isinstance(value, GoError):
        return "{}"
    return _text(str(value), column, indent or 2, dialect)


def _float(value: float, dialect: _Dialect) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        if dialect.through_json:
            raise GoError(f"json: unsupported value: {'NaN' if value != value else '+Inf' if value > 0 else '-Inf'}")
        return ".nan" if value != value else ".inf" if value > 0 else "-.inf"
    if dialect.through_json and value.is_integer() and -(2.0**63) <= value < 2.0**64:
        from heeler.packages.yaml.numbers import json_number

        return json_number(value) if value else "0"
    return general32(value) if isinstance(value, Float32) else general(value)


def _key(text: str, dialect: _Dialect) -> str | None:
    """A key in one line, or None if it can't be."""
    if _WORD.match(text) and len(text) <= KEY_BYTES and text not in CONSTANTS:
        return text
    if dialect.through_json:
        if "\x85" in text:
            raise GoError("yaml: line 1: " + NO_SIMPLE_KEY)
        if len(text) > READABLE_KEY // 6 and len(quote(text)) > READABLE_KEY:
            raise GoError("yaml: " + NO_SIMPLE_KEY)
        text = _readable(text)
    if len(text.encode("utf-8", "surrogatepass")) > KEY_BYTES:
        return None
    looks = _analyse(text)
    if looks.multiline:
        return None
    if "\n" not in text and _is_plain(text):
        if not text:
            return "''"
        if looks.plain:
            return text
        if looks.single:
            return _single(text, 0, 0, float("inf"))
    return _double(text, 0, 0, float("inf"))


def _text(text: str, column: int, indent: int, dialect: _Dialect) -> str:
    if dialect.through_json:
        text = _readable(text)
    elif not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        encoded = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        return "!!binary " + encoded
    looks = _analyse(text)
    if "\n" in text:
        block = looks.block if dialect.through_json else looks.block_with_tabs
        return _literal(text, indent) if block else _double(text, column, indent, dialect.fold_at)
    if _is_plain(text):
        if looks.plain:
            return _plain(text, column, indent, dialect.fold_at)
        if looks.single:
            return _single(text, column, indent, dialect.fold_at)
    return _double(text, column, indent, dialect.fold_at)


#: What JSON leaves as it is and a YAML reader refuses.
_UNREADABLE = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NEXT_LINES = re.compile(" *\x85[ \x85]*")


def _readable(text: str) -> str:
    """Text as it comes out when JSON is read as YAML. Raises `GoError` where that fails."""
    if text.isascii():
        if "\x7f" in text:
            raise GoError("yaml: control characters are not allowed")
        return text
    if _UNREADABLE.search(text):
        raise GoError("yaml: control characters are not allowed")
    text = _NEXT_LINES.sub(lambda found: "\n" * (found[0].count("\x85") - 1) or " ", text)
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


@dataclass(frozen=True, slots=True)
class _Looks:
    """Which styles can hold a text."""

    plain: bool
    single: bool
    block: bool
    block_with_tabs: bool
    multiline: bool


_BREAKS: Final = frozenset("\r\n\x85\u2028\u2029")
_FIRST_INDICATORS: Final = frozenset("#,[]{}&*!|>'\"%@`")
_ASCII_SPECIAL = re.compile("[\x00-\t\x0b-\x1f\x7f]")
_BREAK_SPACE = re.compile("[\r\n\x85\u2028\u2029] ")
_SPACE_BREAK = re.compile(" [\r\n\x85\u2028\u2029]")
_INDICATOR_INSIDE = re.compile(r":(?=[ \t\r\n\x85\u2028\u2029\x00]|\Z)|(?<=[ \t\r\n\x85\u2028\u2029\x00])#")


def _has_special(text: str) -> bool:
    """Whether libyaml takes some sign for one that can't be printed."""
    if _ASCII_SPECIAL.search(text):
        return True
    return not text.isascii() and not all(map(_is_printable, text))


def _is_printable(sign: str) -> bool:
    if sign < "\x7f":
        return sign >= " " or sign == "\n"
    return sign >= "\xa0" and not "\ud800" <= sign <= "\udfff" and sign < "\ufffe" and sign != "\ufeff"


@lru_cache(maxsize=2048)
def _analyse(text: str) -> _Looks:
    """What libyaml's emitter finds out about a text that stands in block context."""
    if not text:
        return _Looks(plain=True, single=True, block=False, block_with_tabs=False, multiline=False)
    # the newer library takes tabs in a block
    special = _has_special(text)
    special_in_block = special and _has_special(text.replace("\t", ""))
    multiline = any(sign in _BREAKS for sign in text)
    edge_blank = text[0] == " " or text[-1] == " " or text[0] in _BREAKS or text[-1] in _BREAKS
    space_break = multiline and bool(_SPACE_BREAK.search(text))
    break_space = multiline and bool(_BREAK_SPACE.search(text))
    first = text[0]
    indicator = (
        first in _FIRST_INDICATORS
        or (first in "-?:" and (len(text) == 1 or text[1] in " \t" or text[1] in _BREAKS))
        or text.startswith(("---", "..."))
        or bool(_INDICATOR_INSIDE.search(text))
    )
    impossible = space_break or special
    return _Looks(
        plain=not (impossible or edge_blank or break_space or multiline or indicator),
        single=not (impossible or break_space),
        block=not (impossible or text[-1] == " "),
        block_with_tabs=not (space_break or special_in_block or text[-1] == " "),
        multiline=multiline,
    )


def _plain(text: str, column: int, indent: int, fold_at: float) -> str:
    if column + len(text) <= fold_at:
        return text
    return _folded(text, column, indent, fold_at, first=0, last=len(text))


def _folded(text: str, column: int, indent: int, fold_at: float, first: int, last: int) -> str:
    """Text with single blanks beyond the margin made into line ends; blanks before `first` or from `last` on stay."""
    parts: list[str] = []
    start = 0
    at = text.find(" ")
    while at >= 0:
        alone = text[at + 1 : at + 2] != " " and (at == 0 or text[at - 1] != " ")
        if column + at - start > fold_at and alone and first <= at < last:
            parts.append(text[start:at])
            start, column = at + 1, indent
        at = text.find(" ", at + 1)
    parts.append(text[start:])
    return ("\n" + " " * indent).join(parts)


def _single(text: str, column: int, indent: int, fold_at: float) -> str:
    doubled = text.replace("'", "''")
    if column + 1 + len(doubled) > fold_at:
        doubled = _folded(doubled, column + 1, indent, fold_at, first=1, last=len(doubled) - 1)
    if not doubled.isascii() and any(sign in _BREAKS for sign in doubled):
        doubled = re.sub("([\x85\u2028\u2029]+)(?=.)", lambda found: found[1] + " " * indent, doubled)
    return f"'{doubled}'"


_DOUBLE_ESCAPES: Final = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r", "\x1b": "\\e",
    '"': '\\"', "\\": "\\\\", "\x85": "\\N", "\xa0": "\\_", "\u2028": "\\L", "\u2029": "\\P",
}  # fmt: skip
_ASCII_TO_ESCAPE = re.compile('["\\\\\x00-\x1f\x7f]')


def _escapes(sign: str) -> bool:
    return not _is_printable(sign) or sign in '"\\\n\u2028\u2029'


def _double_escape(sign: str) -> str:
    known = _DOUBLE_ESCAPES.get(sign)
    if known is not None:
        return known
    code = ord(sign)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def _double(text: str, column: int, indent: int, fold_at: float) -> str:
    if text.isascii():
        escaped = _ASCII_TO_ESCAPE.sub(lambda found: _double_escape(found[0]), text)
    else:
        # a byte order mark in front makes the emitter escape all that follows
        everything = text.startswith("\ufeff")
        escaped = "".join([_double_escape(sign) if everything or _escapes(sign) else sign for sign in text])
    if column + 1 + len(escaped) <= fold_at:
        return f'"{escaped}"'
    # a blank beyond the margin becomes a line end, behind which a further blank is escaped
    parts: list[str] = []
    start, column = 0, column + 1
    at = escaped.find(" ")
    while at >= 0:
        after_space = at > start and escaped[at - 1] == " "
        if column + at - start > fold_at and not after_space and 0 < at < len(escaped) - 1:
            parts.append(escaped[start:at])
            start, column = at + 1, indent
            if escaped[at + 1] == " ":
                escaped = escaped[: at + 1] + "\\" + escaped[at + 1 :]
        at = escaped.find(" ", at + 1)
    parts.append(escaped[start:])
    return '"' + ("\n" + " " * indent).join(parts) + '"'


def _literal(text: str, indent: int) -> str:
    """Text in lines behind a `|`, without its last line end."""
    hint = "2" if text[0] == " " or text[0] in _BREAKS else ""
    if text[-1] not in _BREAKS:
        hint += "-"
    elif len(text) == 1 or text[-2] in _BREAKS:
        hint += "+"
    return "|" + hint + "\n" + _LINE_BEGIN.sub(" " * indent, text.removesuffix("\n"))


#: Before a sign that is no line end, at the start or behind a line end.
_LINE_BEGIN = re.compile(r"(?:\A|(?<=[\r\n\x85\u2028\u2029]))(?=[^\r\n\x85\u2028\u2029])")


_V2: Final = _Dialect(FOLD_AT, 0, True, _natural_v2)
_V3: Final = _Dialect(float("inf"), 2, False, _natural_v3)
