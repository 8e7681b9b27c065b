"""TOML 1.1 as BurntSushi's library reads it: what it lets pass (a key that an inline table or a dotted key made may be
told again) and what it says where it doesn't.

Source: https://toml.io/en/v1.1.0
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from heeler.packages.template.formatting import quote, quote_rune
from heeler.packages.template.values import GoError, Int64, Slice
from heeler.packages.yaml.scalars import decimal

_BLANKS = re.compile(r"[ \t]*")
_LINES = re.compile(r"(?:[ \t\n]|\r\n|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WORD = re.compile("[A-Za-z]+")
_DATE = re.compile(r"(?=[0-9]{4}-|[0-9]{2}:)[0-9Tt:.+\-Zz]+(?: [0-9:.+\-Zz]+)?")
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(?P<fraction>\.[0-9_]*)?(?P<exponent>[eE][-+]?[0-9_]*)?")
_BASED = re.compile(r"0([xob])")
_BASES: Final = {
    "x": (16, "[0-9a-fA-F_]+", "a hexadecimal"),
    "o": (8, "[0-7_]+", "an octal"),
    "b": (2, "[01_]+", "a binary"),
}
_LOOSE_UNDERSCORE = re.compile(r"(?<![0-9])_|_(?![0-9])")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_SIMPLE_ESCAPES: Final = {
    "b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"
}  # fmt: skip
_COUNTED_ESCAPES: Final = {"x": (2, "two"), "u": (4, "four"), "U": (8, "eight")}
_DATE_LAYOUTS: Final = (
    "2006-01-02T15:04:05.999999999Z07:00",
    "2006-01-02T15:04:05.999999999",
    "2006-01-02",
    "15:04:05.999999999",
    "2006-01-02T15:04Z07:00",
    "2006-01-02T15:04",
    "15:04",
)

#: Deeper values are refused: Python's stack ends.
MAX_DEPTH: Final = 100


class Reader:
    """Reads one text."""

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix("\ufeff")
        self.at = 0
        self.depth = 0
        self.root: dict[str, Any] = {}
        #: tables that came about on the way to others: they may be told in full later
        self.implicit: set[tuple[str, ...]] = set()
        self.context: tuple[str, ...] = ()
        self.key = ""

    def fault(self, told: str, at: int | None = None) -> GoError:
        line = self.text.count("\n", 0, self.at if at is None else at) + 1
        last = ".".join([*self.context, self.key] if self.key else self.context)
        where = f' (last key "{last}")' if last else ""
        return GoError(f"toml: line {line}{where}: {told}")

    def sign(self) -> str:
        """The sign that comes next, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def shown(self) -> str:
        return quote_rune(ord(self.sign() or "\0"))

    def blanks(self) -> str:
        """Pass over blanks; returns the sign behind them."""
        found = _BLANKS.match(self.text, self.at)
        assert found
        self.at = found.end()
        return self.sign()

    def lines(self) -> str:
        """Pass over blanks, line ends and comments; returns the sign behind them."""
        found = _LINES.match(self.text, self.at)
        assert found
        control = _CONTROL.search(self.text, self.at, found.end())
        if control:
            raise self.control(control)
        self.at = found.end()
        return self.sign()

    def control(self, found: re.Match[str]) -> GoError:
        return self.fault(f"TOML files cannot contain control characters: '0x{ord(found[0]):02x}'", found.start())

    # -- tables and keys

    def document(self) -> dict[str, Any]:
        if "\0" in self.text:
            raise self.fault("files cannot contain NULL bytes; probably using UTF-16; TOML files must be UTF-8", 0)
        while self.lines():
            if self.sign() == "[":
                self.header()
            else:
                self.pair()
            self.line_end()
        return self.root

    def line_end(self) -> None:
        sign = self.blanks()
        if sign in ("", "\n", "#") or self.text.startswith("\r\n", self.at):
            return
        if control := _CONTROL.match(self.text, self.at):
            raise self.control(control)
        told = f"expected a top-level item to end with a newline, comment, or EOF, but got {self.shown()} instead"
        raise self.fault(told)

    def header(self) -> None:
        """`[a.b]` or `[[a.b]]`."""
        self.at += 1
        of_list = self.sign() == "["
        self.at += of_list
        names = [self.header_name()]
        while (sign := self.blanks()) == ".":
            self.at += 1
            names.append(self.header_name())
        if sign != "]":
            raise self.header_fault("expected '.' or ']' to end table name")
        self.at += 1
        if of_list:
            if self.sign() != "]":
                raise self.header_fault("expected end of table array name delimiter ']'")
            self.at += 1
        self.enter(tuple(names), of_list)

    def header_fault(self, wanted: str) -> GoError:
        """A line end where a name should go on counts as read."""
        return self.fault(f"{wanted}, but got {self.shown()} instead", self.at + (self.sign() == "\n"))

    def header_name(self) -> str:
        match self.blanks():
            case "]" | "":
                raise self.fault("unexpected end of table name (table names cannot be empty)")
            case ".":
                raise self.fault("unexpected table separator (table names cannot be empty)")
        return self.name()

    def name(self) -> str:
        """A bare or quoted part of a key; nothing where there is none."""
        sign = self.sign()
        if sign == '"':
            return self.basic()
        if sign == "'":
            return self.literal()
        found = _BARE.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        return found[0]

    def dotted(self) -> list[str]:
        """A key up to and with its `=`."""
        if self.sign() in ("=", ""):
            raise self.fault("unexpected '=': key name appears blank")
        if self.sign() == ".":
            raise self.fault("unexpected '.': keys cannot start with a '.'")
        names = [self.name()]
        while (sign := self.blanks()) == ".":
            self.at += 1
            following = self.blanks()
            if following in ("=", "", "."):
                raise self.fault(f"unexpected '{following or '='}'")
            names.append(self.name())
        if not sign:
            raise self.fault("unexpected EOF; expected key separator '='")
        if sign != "=":
            raise self.fault(f"expected '.' or '=', but got {self.shown()} instead")
        self.at += 1
        return names

    def pair(self) -> None:
        """`a.b = value` in the table under way."""
        outer = self.context
        names = self.dotted()
        self.key = ".".join(names)
        value_context = (*outer, *names[:-1])
        for place in range(1, len(names)):
            path = (*outer, *names[:place])
            self.enter(path, False, keep=outer)
            self.implicit.add(path)
        self.context, self.key = value_context, names[-1]
        self.put(names[-1], self.value())
        self.context, self.key = outer, ""

    def enter(self, path: tuple[str, ...], of_list: bool, keep: tuple[str, ...] | None = None) -> None:
        """Make the table at a path the one under way; `keep` is what faults tell as the place meanwhile."""
        if len(path) > MAX_DEPTH:
            raise self.fault("tables nest too deeply")
        table = self.root
        for place, name in enumerate(path[:-1], 1):
            if name not in table:
                self.implicit.add(path[:place])
                table[name] = {}
            found = table[name]
            if isinstance(found, Slice):
                found = found[-1]
            if not isinstance(found, dict):
                raise self.fault(f"Key '{'.'.join(path[:place])}' was already created as a hash.")
            table = found
        self.context = path[:-1] if keep is None else keep
        if keep is None:
            self.key = ""
        name = path[-1]
        if of_list:
            tables = table.setdefault(name, Slice("[]map[string]interface {}"))
            if not isinstance(tables, Slice):
                raise self.fault(f"Key '{'.'.join(path)}' was already created and cannot be used as an array.")
            tables.append({})
        else:
            self.define(table, path, {})
        self.context = path

    def put(self, name: str, value: Any) -> None:
        """Set a key of the table under way."""
        table: Any = self.root
        for part in self.context:
            table = table[part]
            if isinstance(table, Slice):
                table = table[-1]
        self.define(table, (*self.context, name), value)

    def define(self, table: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
        if path[-1] not in table:
            table[path[-1]] = value
        elif path in self.implicit:
            self.implicit.discard(path)
        else:
            raise self.fault(f"Key '{'.'.join(path)}' has already been defined.")

    # -- values

    def value(self) -> Any:
        sign = self.blanks()
        if not sign:
            raise self.fault("unexpected EOF; expected value")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fault("values nest too deeply")
        try:
            return self.value_of(sign)
        finally:
            self.depth -= 1

    def value_of(self, sign: str) -> Any:
        if sign == '"':
            return self.multiline('"""') if self.text.startswith('"""', self.at) else self.basic()
        if sign == "'":
            return self.multiline("'''") if self.text.startswith("'''", self.at) else self.literal()
        if sign == "[":
            return self.array()
        if sign == "{":
            return self.inline_table()
        if sign.isascii() and sign.isdigit():
            return self.date() if _DATE.match(self.text, self.at) else self.number()
        if sign in "+-":
            return self.number()
        if sign == ".":
            raise self.fault("floats must start with a digit, not '.'")
        word = _WORD.match(self.text, self.at)
        if not word:
            raise self.fault(f"expected value but found {self.shown()} instead")
        constants: dict[str, Any] = {"true": True, "false": False, "inf": math.inf, "nan": math.nan}
        if word[0] not in constants:
            raise self.fault(f"expected value but found {quote(word[0])} instead")
        self.at = word.end()
        return constants[word[0]]

    def array(self) -> list[Any]:
        self.at += 1
        items: list[Any] = []
        while True:
            sign = self.lines()
            if sign == "]":
                break
            if sign == ",":
                raise self.fault("unexpected comma")
            items.append(self.value())
            sign = self.lines()
            if sign == ",":
                self.at += 1
            elif sign != "]":
                got = self.shown() if sign else "end of file"
                raise self.fault(f"expected a comma (',') or array terminator (']'), but got {got}")
        self.at += 1
        return items

    def inline_table(self) -> dict[str, Any]:
        """`{a = 1, b.c = 2}`. Its keys are read as a document of their own, at this place."""
        self.at += 1
        inner = Reader("")
        inner.text, inner.at, inner.depth = self.text, self.at, self.depth
        here = (*self.context, self.key) if self.key else self.context
        self.implicit.add(here)
        inner.context = here
        table: dict[str, Any] = {}
        inner.root = table
        present = self.present(here)
        for part in reversed(here):
            inner.root = {part: inner.root}
        while True:
            sign = inner.lines()
            if sign == "}":
                break
            if sign == ",":
                raise inner.fault("unexpected comma")
            inner.context, inner.key = here, ""
            names = inner.dotted()
            for place in range(1, len(names)):
                path = (*here, *names[:place])
                inner.enter(path, False, keep=here)
                inner.implicit.add(path)
            inner.context, inner.key = (*here, *names[:-1]), names[-1]
            if names[0] in present:
                raise inner.fault(f"Key '{'.'.join([*here, *names])}' has already been defined.")
            inner.put(names[-1], inner.value())
            sign = inner.lines()
            if sign == ",":
                inner.at += 1
            elif sign != "}":
                got = inner.shown() if sign else "end of file"
                raise inner.fault(f"expected a comma or an inline table terminator '}}', but got {got} instead")
        self.at = inner.at + 1
        return table

    def present(self, path: tuple[str, ...]) -> dict[str, Any]:
        """What the table at a path holds already."""
        found: Any = self.root
        for name in path:
            found = found[-1] if isinstance(found, Slice) else found
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def date(self) -> Any:
        from heeler.packages.functions.moments import LOCAL, parse

        found = _DATE.match(self.text, self.at)
        assert found
        given = found[0]
        written = re.sub(r"[t ]", "T", given, count=1).replace("z", "Z")
        for layout in _DATE_LAYOUTS:
            try:
                moment = parse(layout, written, LOCAL)
            except GoError:
                continue
            self.at = found.end()
            return moment
        raise self.fault(f"invalid datetime: {quote(given)}")

    def number(self) -> Any:
        start = self.at
        signed = self.sign() in "+-"
        body = start + signed
        word = self.text[body : body + 3]
        if signed and word in ("inf", "nan"):
            self.at = body + 3
            return math.nan if word == "nan" else -math.inf if self.text[start] == "-" else math.inf
        if based := _BASED.match(self.text, body):
            if signed:
                raise self.fault(f"cannot use sign with non-decimal numbers: '{self.text[start : based.end()]}'")
            return self.based(based)
        found = _NUMBER.match(self.text, start)
        if not found:
            self.at = body
            if self.sign() == ".":
                raise self.fault("floats must start with a digit, not '.'")
            raise self.fault(f"expected a digit but got {self.shown()}")
        self.at = found.end()
        if found["fraction"] is None and found["exponent"] is None:
            return self.whole(found[0])
        return self.float(found[0], found["fraction"])

    def based(self, found: re.Match[str]) -> Int64:
        base, digits, told = _BASES[found[1]]
        number = re.compile(digits).match(self.text, found.end())
        if not number:
            raise self.fault(f"not {told} number: '{found[0]}{self.text[found.end() : found.end() + 1] or chr(0)}'")
        self.at = number.end()
        if number[0].startswith("_") or number[0].endswith("_") or "__" in number[0]:
            raise self.fault(f"Invalid integer {quote(found[0] + number[0])}: underscores must be surrounded by digits")
        return self.in_range(int(number[0].replace("_", ""), base), found[0] + number[0])

    def whole(self, given: str) -> Int64:
        self.check_number(given, "integer", given)
        number = decimal(given.replace("_", "").lstrip("+-"))
        return self.in_range(-number if given[0] == "-" else number, given)

    def in_range(self, number: int, given: str) -> Int64:
        if not -(1 << 63) <= number < 1 << 63:
            raise self.fault(f"{given} is out of range for int64")
        return Int64(number)

    def float(self, given: str, fraction: str | None) -> float:
        self.check_number(given, "float", re.split("[.eE]", given)[0])
        if fraction == ".":
            raise self.fault(f"Invalid float {quote(given)}: '.' must be followed by one or more digits")
        try:
            number = float(given.replace("_", ""))
        except ValueError:
            raise self.fault(f"Invalid float value: {quote(given)}") from None
        if math.isinf(number):
            raise self.fault(f"{given} is out of range for float64")
        return number

    def check_number(self, given: str, kind: str, whole: str) -> None:
        if _LOOSE_UNDERSCORE.search(given):
            raise self.fault(f"Invalid {kind} {quote(given)}: underscores must be surrounded by digits")
        digits = whole.lstrip("+-")
        if len(digits) > 1 and digits[0] == "0":
            raise self.fault(f"Invalid {kind} {quote(given)}: cannot have leading zeroes")

    # -- text

    def literal(self) -> str:
        end = re.compile("['\n]").search(self.text, self.at + 1)
        return self.taken(end, "'", '"\'"')

    def taken(self, end: re.Match[str] | None, mark: str, shown: str) -> str:
        """The text up to its end mark, without escapes."""
        if control := _CONTROL.search(self.text, self.at + 1, end.start() if end else len(self.text)):
            raise self.control(control)
        if end is None:
            raise self.fault(f"unexpected EOF; expected {shown}", len(self.text))
        if end[0] != mark:
            raise self.fault("strings cannot contain newlines", end.start())
        text = self.text[self.at + 1 : end.start()]
        self.at = end.end()
        return text

    def basic(self) -> str:
        self.at += 1
        return self.escaped('"', "'\"'")

    def multiline(self, mark: str) -> str:
        self.at += 3
        if found := re.compile(r"\r?\n").match(self.text, self.at):
            self.at = found.end()
        if mark == '"""':
            return self.escaped(mark, '\'"""\'')
        end = self.text.find(mark, self.at)
        if control := _CONTROL.search(self.text, self.at, end if end >= 0 else len(self.text)):
            raise self.control(control)
        if end < 0:
            raise self.fault("unexpected EOF; expected \"'''\"", len(self.text))
        while self.text.startswith("'", end + 3) and end - self.at < len(self.text):
            end += 1
        text = self.text[self.at : end]
        self.at = end + 3
        return text

    def escaped(self, mark: str, shown: str) -> str:
        """Text with escapes up to its end mark, of which two more may stand before it in a text of several lines."""
        out: list[str] = []
        many = len(mark) == 3
        plain = re.compile(r'[^"\\\x00-\x08\x0a-\x1f\x7f]+')
        while True:
            if found := plain.match(self.text, self.at):
                out.append(found[0])
                self.at = found.end()
            sign = self.sign()
            if not sign:
                raise self.fault(f"unexpected EOF; expected {shown}")
            if self.text.startswith(mark, self.at):
                while many and self.text.startswith('"', self.at + 3) and len(out) < len(self.text):
                    out.append('"')
                    self.at += 1
                self.at += len(mark)
                return "".join(out)
            if sign == "\\":
                out.append(self.escape(many))
            elif sign == "\n" or self.text.startswith("\r\n", self.at):
                if not many:
                    raise self.fault("strings cannot contain newlines")
                out.append(sign if sign == "\n" else "\r\n")
                self.at += len(out[-1])
            elif control := _CONTROL.match(self.text, self.at):
                raise self.control(control)
            else:
                out.append(sign)
                self.at += 1

    def escape(self, many: bool) -> str:
        sign = self.text[self.at + 1 : self.at + 2]
        if sign in _SIMPLE_ESCAPES and sign:
            self.at += 2
            return _SIMPLE_ESCAPES[sign]
        if sign in _COUNTED_ESCAPES and sign:
            count, word = _COUNTED_ESCAPES[sign]
            digits = self.text[self.at + 2 : self.at + 2 + count]
            if not re.fullmatch(f"[0-9a-fA-F]{{{count}}}", digits):
                wrong = re.match("[0-9a-fA-F]*.?", digits, re.DOTALL)
                got = self.text[self.at : self.at + 2] + (wrong[0] if wrong else "")
                told = f"expected {word} hexadecimal digits after '\\{sign}', but got {quote(got)} instead"
                raise self.fault(told)
            code = int(digits, 16)
            if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
                raise self.fault(f"Escaped character '\\{sign}{digits}' is not valid UTF-8.")
            self.at += 2 + count
            return chr(code)
        if many and (found := re.compile(r"\\[ \t]*\r?\n[ \t\r\n]*").match(self.text, self.at)):
            self.at = found.end()
            return ""
        raise self.fault(f"invalid escape in string '\\{sign}'")
