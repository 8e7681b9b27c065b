"""Go's fmt (https://pkg.go.dev/fmt): `sprintf`, `sprint`, `sprintln`, and the number and quoting forms of its strconv.

Widths and precisions count characters, where a byte that is no UTF-8 counts as one. What can't be printed
leaves Go's mark in the text (`%!d(string=x)`). But values deeper than `MAX_DEPTH` or larger than `MAX_MEMBERS` raise GoError:
those that hold themselves have no end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from struct import pack, unpack
from typing import Any, Final

from heeler.objects import go_duration
from heeler.packages.template.extent import check_extent
from heeler.packages.template.values import (
    Duration,
    Float32,
    Function,
    GoError,
    Struct,
    Uint8,
    kind_name,
    sorted_keys,
    type_name,
)

MAX_DEPTH: Final = 150
"""Levels of nested values: far above any real one, well below Python's own bound. Values that hold themselves end here."""

MAX_MEMBERS: Final = 1_000_000
"""Members of maps and lists that one value prints. A few lists that hold each other twice would print for ever."""

MAX_NUMBER: Final = 1_000_000
"""The largest width, precision or argument index that fmt takes."""

SHORTEST_EXPONENT: Final = 6
"""From this power of ten on, %v and %g write an exponent (where no precision is asked for)."""

UNSIGNED: Final = frozenset({"uint", "uint8", "uint16", "uint32", "uint64", "uintptr"})
BASES: Final = {"v": 10, "d": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
QUOTED: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
}


@dataclass(slots=True)
class Spec:
    """The flags of one verb. `plus_v` and `sharp_v` are `%+v` and `%#v`, which are no flags of numbers."""

    plus: bool = False
    minus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None
    plus_v: bool = False
    sharp_v: bool = False
    erroring: bool = False
    """Inside of a `%!verb(...)`: methods aren't called there."""
    visited: int = 0
    """Members of maps and lists that were printed."""

    def padded(self, text: str) -> str:
        if not self.width or (lack := self.width - len(text)) <= 0:
            return text
        if self.minus:
            return text + " " * lack
        return ("0" if self.zero else " ") * lack + text

    def blank_padded(self, text: str) -> str:
        """Padded as what is no number, or has its zeros already."""
        if not self.width or (lack := self.width - len(text)) <= 0:
            return text
        return text + " " * lack if self.minus else " " * lack + text


# --- what callers use


def sprint(*values: Any) -> str:
    """The values one after the other, with a blank between two of which neither is a string."""
    parts: list[str] = []
    after_text = True
    for value in values:
        is_text = isinstance(value, str)
        if not is_text and not after_text:
            parts.append(" ")
        parts.append(value if is_text else text(value))
        after_text = is_text
    return "".join(parts)


def sprintln(*values: Any) -> str:
    """The values with a blank between any two, and a line feed."""
    return " ".join(map(text, values)) + "\n"


def text(value: Any) -> str:
    """The value as `%v` prints it."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return float_text(value)
    return _argument(value, "v", Spec())


def sprintf(template: str, *values: Any) -> str:
    """The values in the places that `template` names by verbs, with Go's marks for what doesn't fit."""
    return _Format(template, values).result()


def float_text(value: float, verb: str = "g", precision: int = -1, bits: int = 64) -> str:
    """strconv.FormatFloat: `verb` is one of b, e, E, f, g, G, x, X; precision -1 is as many digits as the value needs."""
    if value != value:
        return "NaN"
    if value in (math.inf, -math.inf):
        return "+Inf" if value > 0 else "-Inf"
    if verb == "b":
        return _binary_float(value, bits)
    if verb in "xX":
        return _hexadecimal_float(value, precision, bits, upper=verb == "X")
    if precision < 0:
        return _shortest(value, verb, bits)
    # Python's own forms are Go's here: rounded half to even on the exact value, exponents of two digits at least.
    return f"{float(value):.{precision}{verb}}"


def quote(value: str, *, ascii_only: bool = False) -> str:
    """strconv.Quote, or QuoteToASCII."""
    if value.isascii() and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    if text.isprintable() and (value.isascii() or not ascii_only):
        return f'"{text}"'
    return '"' + "".join([_escaped(char, '"', ascii_only) for char in value]) + '"'


def quote_rune(code: int, *, ascii_only: bool = False) -> str:
    """strconv.QuoteRune: the character between single quotes."""
    return "'" + _escaped(_character(code), "'", ascii_only, rune=True) + "'"


def is_printable(char: str) -> bool:
    """unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the blank."""
    return char.isprintable()


def can_backquote(value: str) -> bool:
    """Whether the text can stand between backquotes as it is."""
    return not any(
        (char < " " and char != "\t") or char in "`\x7f\ufeff" or "\ud800" <= char <= "\udfff" for char in value
    )


# --- the template of sprintf


class _Format:
    """One run of sprintf over its template."""

    def __init__(self, template: str, values: tuple[Any, ...]) -> None:
        self.template = template
        self.values = values
        self.at = 0
        self.next = 0  # the argument that the next verb takes
        self.reordered = False  # some verb named its argument: superfluous ones aren't told then
        self.good_index = True
        self.parts: list[str] = []

    def result(self) -> str:
        template, parts = self.template, self.parts
        while (percent := template.find("%", self.at)) >= 0:
            parts.append(template[self.at : percent])
            self.at = percent + 1
            if not self._simple():
                self._verb()
        parts.append(template[self.at :])
        if not self.reordered and self.next < len(self.values):
            parts.append(self._extra())
        return "".join(parts)

    def _simple(self) -> bool:
        """The verbs that most templates have, without flags and with a fitting argument: no need for more."""
        values, verb = self.values, self.template[self.at : self.at + 1]
        if self.next >= len(values):
            return False
        value = values[self.next]
        kind = type(value)
        if (kind is str and verb in ("s", "v")) or (kind is int and verb in ("d", "v")):
            self.parts.append(value if kind is str else str(value))
            self.next += 1
            self.at += 1
            return True
        return False

    def _extra(self) -> str:
        rest = self.values[self.next :]
        told = ["<nil>" if value is None else f"{type_name(value)}={text(value)}" for value in rest]
        return f"%!(EXTRA {', '.join(told)})"

    def _char(self) -> str:
        return self.template[self.at : self.at + 1]

    def _verb(self) -> None:
        spec = Spec()
        self.good_index = True
        self._flags(spec)
        after_index = self._index()
        after_index = self._width(spec, after_index)
        after_index = self._precision(spec, after_index)
        if not after_index:
            self._index()
        verb = self._char()
        if not verb:
            self.parts.append("%!(NOVERB)")
            return
        self.at += 1
        self.parts.append(self._printed(verb, spec))

    def _printed(self, verb: str, spec: Spec) -> str:
        if verb == "%":
            return "%"
        if not self.good_index:
            return f"%!{verb}(BADINDEX)"
        if self.next >= len(self.values):
            return f"%!{verb}(MISSING)"
        value = self.values[self.next]
        self.next += 1
        if verb in "vw":
            spec.plus_v, spec.plus = spec.plus, False
            spec.sharp_v, spec.sharp = spec.sharp, False
        return _argument(value, verb, spec)

    def _flags(self, spec: Spec) -> None:
        while True:
            match self._char():
                case "#":
                    spec.sharp = True
                case "0":
                    spec.zero = True
                case "+":
                    spec.plus = True
                case "-":
                    spec.minus = True
                case " ":
                    spec.space = True
                case _:
                    return
            self.at += 1

    def _index(self) -> bool:
        """`[3]`: the next argument by its number. Whether there was a good one."""
        if self._char() != "[":
            return False
        self.reordered = True
        closed = self.template.find("]", self.at)
        if len(self.template) - self.at < 3 or closed < 0:
            self.at += 1
            self.good_index = False
            return False
        start, self.at = self.at + 1, closed + 1
        number, end = _number(self.template, start)
        if number is not None and end == closed and 1 <= number <= len(self.values):
            self.next = number - 1
            return True
        self.good_index = False
        # As Go has it, a number out of range still counts as an index for what follows.
        return number is not None and end == closed

    def _width(self, spec: Spec, after_index: bool) -> bool:
        if self._char() == "*":
            self.at += 1
            spec.width = self._star()
            if spec.width is None:
                self.parts.append("%!(BADWIDTH)")
            elif spec.width < 0:
                spec.width, spec.minus, spec.zero = -spec.width, True, False
            return False
        number, self.at = _number(self.template, self.at)
        spec.width = number
        if number is not None and after_index:
            self.good_index = False
        return after_index

    def _precision(self, spec: Spec, after_index: bool) -> bool:
        if self._char() != "." or self.at + 1 > len(self.template):
            return after_index
        self.at += 1
        if after_index:
            self.good_index = False
        after_index = self._index()
        if self._char() == "*":
            self.at += 1
            spec.precision = self._star()
            if spec.precision is not None and spec.precision < 0:
                spec.precision = None
            if spec.precision is None:
                self.parts.append("%!(BADPREC)")
            return False
        number, self.at = _number(self.template, self.at)
        spec.precision = number or 0
        return after_index

    def _star(self) -> int | None:
        """A width or precision that is an argument."""
        if self.next >= len(self.values):
            return None
        value = self.values[self.next]
        self.next += 1
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_NUMBER:
            return None
        return int(value)


def _number(template: str, start: int) -> tuple[int | None, int]:
    """The decimal number at `start`, and where it ends. One that is too large takes the rest of the template with it."""
    number, end = 0, start
    while end < len(template) and "0" <= template[end] <= "9":
        if number > MAX_NUMBER:
            return None, len(template)
        number = number * 10 + int(template[end])
        end += 1
    return (number, end) if end > start else (None, start)


# --- values


def _argument(value: Any, verb: str, spec: Spec) -> str:
    if value is None:
        return spec.padded("<nil>") if verb in "Tv" else f"%!{verb}(<nil>)"
    if verb == "T":
        return _string(type_name(value), "s", spec)
    if verb == "p":
        return _pointer(value, verb, spec)
    if isinstance(value, dict | list):
        check_extent(value, "printed")
    return _value(value, verb, spec, 0)


def _bad(value: Any, verb: str, spec: Spec) -> str:
    was, spec.erroring = spec.erroring, True
    try:
        return f"%!{verb}({type_name(value)}={_argument(value, 'v', spec)})"
    finally:
        spec.erroring = was


def _value(value: Any, verb: str, spec: Spec, depth: int) -> str:
    match value:
        case str():
            return _string(value, verb, spec)
        case bool():
            return spec.padded("true" if value else "false") if verb in "tv" else _bad(value, verb, spec)
        case Duration() if verb in "vsxXq" and not spec.erroring and not spec.sharp_v:
            return _string(go_duration.text(value), verb, spec)
        case int():
            return _integer(value, verb, spec)
        case float():
            return _float(value, verb, spec)
        case complex():
            return _complex(value, verb, spec)
        case None:
            return "interface {}(nil)" if spec.sharp_v else "<nil>"
    if depth > MAX_DEPTH:
        raise GoError("value nests too deeply to be printed")
    if isinstance(value, (dict, list)):
        spec.visited += len(value)
        if spec.visited > MAX_MEMBERS:
            raise GoError("value is too large to be printed")
    if verb == "w" and not spec.erroring and (depth or not isinstance(value, bytes)):  # the verb of fmt.Errorf
        return _bad(value, verb, spec)
    match value:
        case bytes():
            return _bytes(value, verb, spec, depth)
        case dict():
            return _map(value, verb, spec, depth)
        case list():
            return _list(value, verb, spec, depth)
        case GoError():
            return _error(value, verb, spec, depth)
        case Struct():
            return _struct(value, verb, spec, depth)
    return _pointer(value, verb, spec)


def _map(value: dict[Any, Any], verb: str, spec: Spec, depth: int) -> str:
    between = ", " if spec.sharp_v else " "
    inside = between.join(
        [
            f"{_value(key, verb, spec, depth + 1)}:{_value(value[key], verb, spec, depth + 1)}"
            for key in sorted_keys(value)
        ]
    )
    return f"{type_name(value)}{{{inside}}}" if spec.sharp_v else f"map[{inside}]"


def _list(value: list[Any], verb: str, spec: Spec, depth: int) -> str:
    if spec.sharp_v:
        inside = [_value(item, verb, spec, depth + 1) for item in value]
        return f"{type_name(value)}{{{', '.join(inside)}}}"
    return "[" + " ".join([_value(item, verb, spec, depth + 1) for item in value]) + "]"


def _struct(value: Struct, verb: str, spec: Spec, depth: int) -> str:
    if verb in "vsxXq" and not spec.erroring and not spec.sharp_v and not value.go_by_pointer:
        for method in ("Error", "String"):
            if (function := value.go_methods.get(method)) is not None:
                return _string(function.call(value), verb, spec)
    if value.go_type.startswith("*") and depth > 0:
        return _pointer(value, verb, spec)
    mark = "&" if value.go_type.startswith("*") else ""
    named = spec.plus_v or spec.sharp_v
    inside = [
        (f"{name}:" if named else "") + _value(getattr(value, attribute), verb, spec, depth + 1)
        for name, attribute in value.go_fields.items()
    ]
    if spec.sharp_v:
        return f"{mark}{value.go_type.removeprefix('*')}{{{', '.join(inside)}}}"
    return f"{mark}{{{' '.join(inside)}}}"


def _error(value: GoError, verb: str, spec: Spec, depth: int) -> str:
    if verb in "vsxXq" and not spec.erroring and not spec.sharp_v:
        return _string(str(value), verb, spec)
    if depth > 0:
        return _pointer(value, verb, spec)
    inside = _string(str(value), verb, spec)
    if spec.sharp_v:
        return f"&errors.errorString{{s:{inside}}}"
    return f"&{{s:{inside}}}" if spec.plus_v else f"&{{{inside}}}"


def _pointer(value: Any, verb: str, spec: Spec) -> str:
    """An address. It is that of the Python object, so that it is told from others and stays."""
    kind = kind_name(value)
    if kind not in ("map", "slice", "ptr") and not isinstance(value, Function):
        return _bad(value, verb, spec)
    address = id(value)
    match verb:
        case "v" if spec.sharp_v:
            return f"({type_name(value)})({_hexadecimal(address, spec, sharp=True)})"
        case "v" | "p":
            return _hexadecimal(address, spec, sharp=not spec.sharp)
        case "b" | "o" | "d" | "x" | "X":
            return _digits(address, verb, spec)
    return _bad(value, verb, spec)


# --- text


def _string(value: str, verb: str, spec: Spec) -> str:
    match verb:
        case "v":
            return _quoted(value, spec) if spec.sharp_v else spec.padded(_cut(value, spec))
        case "s":
            return spec.padded(_cut(value, spec))
        case "q":
            return _quoted(value, spec)
        case "x" | "X":
            return _hexadecimal_text(value.encode("utf-8", "surrogateescape"), verb, spec)
    return _bad(value, verb, spec)


def _cut(value: str, spec: Spec) -> str:
    return value if spec.precision is None else value[: spec.precision]


def _quoted(value: str, spec: Spec) -> str:
    value = _cut(value, spec)
    if spec.sharp and can_backquote(value):
        return spec.padded(f"`{value}`")
    return spec.padded(quote(value, ascii_only=spec.plus))


def _hexadecimal_text(value: bytes, verb: str, spec: Spec) -> str:
    if spec.precision is not None:
        value = value[: spec.precision]
    if not value:
        return spec.padded("")
    mark = f"0{verb}" if spec.sharp else ""
    digits = value.hex().upper() if verb == "X" else value.hex()
    if spec.space:
        return spec.padded(" ".join([mark + digits[at : at + 2] for at in range(0, len(digits), 2)]))
    return spec.padded(mark + digits)


def _bytes(value: bytes, verb: str, spec: Spec, depth: int) -> str:
    match verb:
        case "v" | "d":
            if spec.sharp_v:
                name = "[]byte" if depth == 0 else "[]uint8"
                return f"{name}{{{', '.join([_hexadecimal(byte, spec, sharp=True) for byte in value])}}}"
            return "[" + " ".join([_digits(byte, verb, spec) for byte in value]) + "]"
        case "s" | "q":
            return _string(value.decode("utf-8", "surrogateescape"), verb, spec)
        case "x" | "X":
            return _hexadecimal_text(value, verb, spec)
    return "[" + " ".join([_integer(Uint8(byte), verb, spec) for byte in value]) + "]"


def _escaped(char: str, mark: str, ascii_only: bool, *, rune: bool = False) -> str:
    if char in QUOTED:
        return QUOTED[char]
    if char == mark:
        return "\\" + char
    code = ord(char)
    if char.isprintable() and (code < 0x80 or not ascii_only):
        return char
    if 0xDC80 <= code <= 0xDCFF and not rune:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xD800 <= code <= 0xDFFF:
        return "\\ufffd" if ascii_only else "\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# --- numbers


def _integer(value: int, verb: str, spec: Spec) -> str:
    match verb:
        case "v":
            if spec.sharp_v and kind_name(value) in UNSIGNED:
                return _hexadecimal(value, spec, sharp=True)
            return _digits(value, verb, spec)
        case "d" | "b" | "o" | "O" | "x" | "X":
            return _digits(value, verb, spec)
        case "c":
            return spec.padded(_character(value))
        case "q":
            return spec.padded(quote_rune(value, ascii_only=spec.plus))
        case "U":
            return _unicode(value, spec)
    return _bad(value, verb, spec)


def _character(code: int) -> str:
    return chr(code) if 0 <= code < 0xD800 or 0xDFFF < code <= 0x10FFFF else "\ufffd"


def _digits(value: int, verb: str, spec: Spec) -> str:
    size = abs(int(value))
    base = BASES[verb]
    least = 0
    if spec.precision is not None:
        least = spec.precision
        if least == 0 and size == 0:
            return " " * (spec.width or 0)
    elif spec.zero and not spec.minus and spec.width is not None:
        least = spec.width - (1 if value < 0 or spec.plus or spec.space else 0)
    match base:
        case 2:
            digits = f"{size:b}"
        case 8:
            digits = f"{size:o}"
        case 16:
            digits = f"{size:X}" if verb == "X" else f"{size:x}"
        case _:
            digits = str(size)
    digits = digits.rjust(least, "0")
    if spec.sharp:
        if base == 2:
            digits = "0b" + digits
        elif base == 8 and digits[0] != "0":
            digits = "0" + digits
        elif base == 16:
            digits = ("0X" if verb == "X" else "0x") + digits
    if verb == "O":
        digits = "0o" + digits
    sign = "-" if value < 0 else "+" if spec.plus else " " if spec.space else ""
    return spec.blank_padded(sign + digits)


def _hexadecimal(value: int, spec: Spec, *, sharp: bool) -> str:
    was, spec.sharp = spec.sharp, sharp
    try:
        return _digits(value, "x", spec)
    finally:
        spec.sharp = was


def _unicode(value: int, spec: Spec) -> str:
    value &= (1 << 64) - 1
    result = "U+" + f"{value:X}".rjust(max(spec.precision or 0, 4), "0")
    if spec.sharp and value <= 0x10FFFF and _character(value).isprintable():
        result += f" '{_character(value)}'"
    return spec.blank_padded(result)


def _float(value: float, verb: str, spec: Spec) -> str:
    bits = 32 if isinstance(value, Float32) else 64
    match verb:
        case "v":
            return _float_padded(value, "g", -1, bits, spec)
        case "b" | "g" | "G" | "x" | "X":
            return _float_padded(value, verb, -1, bits, spec)
        case "e" | "E" | "f":
            return _float_padded(value, verb, 6, bits, spec)
        case "F":
            return _float_padded(value, "f", 6, bits, spec)
    return _bad(value, verb, spec)


def _float_padded(value: float, verb: str, precision: int, bits: int, spec: Spec) -> str:
    if spec.precision is not None:
        precision = spec.precision
    number = float_text(value, verb, precision, bits)
    sign, size = (number[0], number[1:]) if number[0] in "+-" else ("+", number)
    if spec.space and sign == "+" and not spec.plus:
        sign = " "
    if size in ("Inf", "NaN"):
        # Infinity always has its sign; what is no number has one only if asked for. Zeros don't stand before either.
        bare = size == "NaN" and not spec.space and not spec.plus
        return spec.blank_padded(size if bare else sign + size)
    if spec.sharp and verb != "b":
        size = _with_point(size, verb, precision)
    if not spec.plus and sign == "+":
        return spec.padded(size)
    if spec.zero and not spec.minus and spec.width is not None and spec.width > len(size) + 1:
        return sign + size.rjust(spec.width - 1, "0")
    return spec.padded(sign + size)


def _with_point(size: str, verb: str, precision: int) -> str:
    """`%#g`: the point always stands, and zeros up to the precision, 6 digits if there is none."""
    mark = "p" if verb in "xX" else "e"
    at = next((index for index, char in enumerate(size) if char in (mark, mark.upper())), len(size))
    digits, tail = size[:at], size[at:]
    lack = 0
    if verb in "gGx":  # of %#X Go adds no zeros, and of %#x it counts the x as a digit
        significant = digits.replace(".", "").lstrip("0")
        lack = (6 if precision < 0 else precision) - max(len(significant), digits == "0")
    if "." not in digits:
        digits += "."
    return digits + "0" * max(lack, 0) + tail


def _complex(value: complex, verb: str, spec: Spec) -> str:
    if verb not in "vbgGxXfFeE":
        return _bad(value, verb, spec)
    real = _float(value.real, verb, spec)
    was, spec.plus = spec.plus, True
    try:
        return f"({real}{_float(value.imag, verb, spec)}i)"
    finally:
        spec.plus = was


def _shortest(value: float, verb: str, bits: int) -> str:
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    digits, exponent = _shortest_digits(abs(value), bits)
    if verb in "gG":
        verb = chr(ord(verb) - 2) if exponent < -4 or exponent >= SHORTEST_EXPONENT else "f"
    if verb in "eE":
        fraction = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{fraction}{verb}{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    whole = digits[: exponent + 1].ljust(exponent + 1, "0")
    rest = digits[exponent + 1 :]
    return f"{sign}{whole}.{rest}" if rest else sign + whole


def _shortest_digits(value: float, bits: int) -> tuple[str, int]:
    """The fewest digits that read back as the value, without trailing zeros, and the decimal exponent of the first."""
    if value == 0:
        return "0", 0
    if bits == 32:
        for precision in range(9):
            written = f"{value:.{precision}e}"
            if unpack("f", pack("f", float(written)))[0] == value:
                break
    else:
        written = f"{value!r}"
        if "e" not in written:
            whole, _, fraction = written.partition(".")
            if whole != "0":
                return (whole + fraction).rstrip("0") or "0", len(whole) - 1
            significant = fraction.lstrip("0")
            return significant.rstrip("0"), len(significant) - len(fraction) - 1
    mantissa, _, exponent = written.partition("e")
    return mantissa.replace(".", "").rstrip("0") or "0", int(exponent)


def _parts(value: float, bits: int) -> tuple[int, int]:
    """Mantissa and binary exponent as the machine holds them: value == mantissa * 2**exponent."""
    if bits == 32:
        raw = unpack(">I", pack(">f", abs(value)))[0]
        exponent, mantissa, bias, width = raw >> 23, raw & ((1 << 23) - 1), 127, 23
    else:
        raw = unpack(">Q", pack(">d", abs(value)))[0]
        exponent, mantissa, bias, width = raw >> 52, raw & ((1 << 52) - 1), 1023, 52
    if exponent == 0:
        exponent = 1
    else:
        mantissa |= 1 << width
    return mantissa, exponent - bias - width


def _binary_float(value: float, bits: int) -> str:
    mantissa, exponent = _parts(value, bits)
    return f"{'-' if math.copysign(1.0, value) < 0 else ''}{mantissa}p{exponent:+d}"


def _hexadecimal_float(value: float, precision: int, bits: int, *, upper: bool) -> str:
    """`0x1.8p+01`: one digit before the point, exponents of two digits at least, rounded half to even."""
    mantissa, exponent = _parts(value, bits)
    if mantissa == 0:
        exponent = 0
        digits = ""
        lead = 0
    else:
        shift = 53 - mantissa.bit_length()
        mantissa <<= shift
        exponent += 52 - shift
        if 0 <= precision < 13:
            drop = 52 - 4 * precision
            rest = mantissa & ((1 << drop) - 1)
            mantissa >>= drop
            half = 1 << (drop - 1)
            if rest > half or (rest == half and mantissa & 1):
                mantissa += 1
            mantissa <<= drop
            if mantissa >> 53:
                mantissa >>= 1
                exponent += 1
        lead = mantissa >> 52
        digits = f"{mantissa & ((1 << 52) - 1):013x}".rstrip("0")
    if precision >= 0:
        digits = digits.ljust(precision, "0")[:precision]
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    written = f"{sign}0x{lead}{'.' + digits if digits else ''}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return written.upper() if upper else written
