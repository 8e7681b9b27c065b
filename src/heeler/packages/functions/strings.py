"""sprig's functions of text. Lengths are in bytes, as in Go, but where a name says otherwise."""

from __future__ import annotations

import re
from typing import Any, Final

from heeler.packages.functions.convert import data, strings, strval, undata
from heeler.packages.template.formatting import quote, sprintf, text
from heeler.packages.template.values import Function, GoPanic, Map, Slice, go

#: The most bytes that one call may make of little.
MOST_BYTES: Final = 256 << 20

#: The most numbers that `until` and `seq` count.
MOST_NUMBERS: Final = 10_000_000

#: What Go's unicode.IsSpace takes for blanks.
BLANKS: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"  # fmt: skip  # noqa: E501


# ---- letters ---------------------------------------------------------------------------------------------------------


def upper_rune(char: str) -> str:
    """unicode.ToUpper: one character for one."""
    changed = char.upper()
    if len(changed) > 1:
        changed = char.title()
    return changed if len(changed) == 1 else char


def lower_rune(char: str) -> str:
    return char.lower()[0]


def title_rune(char: str) -> str:
    changed = char.title()
    return changed if len(changed) == 1 else char


def lowered(value: str) -> str:
    value = replaced_bytes(value)
    return value.lower() if value.isascii() else "".join(map(lower_rune, value))


def uppered(value: str) -> str:
    value = replaced_bytes(value)
    return value.upper() if value.isascii() else "".join(map(upper_rune, value))


_NO_UTF8 = re.compile("[\ud800-\udfff]")


def replaced_bytes(value: str) -> str:
    """Text as Go reads it rune by rune: a byte that is no UTF-8 is U+FFFD."""
    return value if value.isascii() else _NO_UTF8.sub("\ufffd", value)


def _is_separator(char: str) -> bool:
    if char.isascii():
        return not (char.isalnum() or char == "_")
    return not (char.isalpha() or char.isdecimal()) and char in BLANKS


def titled(value: str) -> str:
    out = []
    before = " "
    for char in replaced_bytes(value):
        out.append(title_rune(char) if _is_separator(before) else char)
        before = char
    return "".join(out)


def untitled(value: str) -> str:
    out = []
    gap = True
    for char in replaced_bytes(value):
        if char in BLANKS:
            gap = True
            out.append(char)
        else:
            out.append(lower_rune(char) if gap else char)
            gap = False
    return "".join(out)


def swapped(value: str) -> str:
    out = []
    blank = True
    for char in replaced_bytes(value):
        if char.isupper() or char.istitle():
            out.append(lower_rune(char))
            blank = False
        elif char.islower():
            out.append(title_rune(char) if blank else upper_rune(char))
            blank = False
        else:
            blank = char in BLANKS
            out.append(char)
    return "".join(out)


# ---- cutting ---------------------------------------------------------------------------------------------------------


def cut(value: str, start: int, end: int) -> str:
    """`value[start:end]` in bytes. Raises `GoPanic` as Go does for bounds that aren't there."""
    size = len(value) if value.isascii() else len(data(value))
    if end > size or end < 0:
        told = f"[:{end}] with length {size}" if end >= 0 else f"[:{end}]"
        raise GoPanic(f"runtime error: slice bounds out of range {told}")
    if start > end:
        raise GoPanic(f"runtime error: slice bounds out of range [{start}:{end}]")
    return value[start:end] if value.isascii() else undata(data(value)[start:end])


def substring(start: int, end: int, value: str) -> str:
    size = len(value) if value.isascii() else len(data(value))
    if start < 0:
        return cut(value, 0, end)
    if end < 0 or end > size:
        return cut(value, start, size)
    return cut(value, start, end)


def truncated(count: int, value: str) -> str:
    if value.isascii():
        return value[count:] if count < 0 else value[:count]
    raw = data(value)
    return undata(raw[count:] if count < 0 else raw[:count])


def repeated(count: int, value: str) -> str:
    if count < 0:
        raise GoPanic("strings: negative Repeat count")
    if count * len(value) > MOST_BYTES:
        raise GoPanic("strings: Repeat output length overflow")
    return value * count


def padding(count: int) -> str:
    return repeated(count, " ")


def indented(count: int, value: str) -> str:
    pad = padding(count)
    if len(value) + value.count("\n") * count > MOST_BYTES:
        raise GoPanic("strings: Repeat output length overflow")
    return pad + value.replace("\n", "\n" + pad)


def nindented(count: int, value: str) -> str:
    return "\n" + indented(count, value)


def replaced(old: str, new: str, value: str) -> str:
    if len(new) * (value.count(old) if old else len(value) + 1) > MOST_BYTES:
        raise GoPanic("strings: Repeat output length overflow")
    return value.replace(old, new)


def abbreviated(width: int, value: str) -> str:
    if width < 4:
        return value
    return _abbreviate(value, 0, width)


def abbreviated_both(left: int, right: int, value: str) -> str:
    if right < 4 or (left > 0 and right < 7):
        return value
    return _abbreviate(value, left, right)


def _abbreviate(value: str, offset: int, width: int) -> str:
    """Text with dots for what doesn't fit in `width` bytes; from `offset` on if there is room for dots in front."""
    raw = data(value)
    if width < 4 or len(raw) <= width:
        return value
    offset = min(offset, len(raw))
    if len(raw) - offset < width - 3:
        offset = len(raw) - (width - 3)
    if offset <= 4:
        return undata(raw[: width - 3]) + "..."
    if width < 7:
        return value
    if offset + width - 3 < len(raw):
        return "..." + undata(_abbreviate_raw(raw[offset:], width - 3))
    return "..." + undata(raw[len(raw) - (width - 3) :])


def _abbreviate_raw(raw: bytes, width: int) -> bytes:
    return raw if len(raw) <= width else raw[: width - 3] + b"..."


def initials(value: str) -> str:
    """The first byte of each word, each byte taken for a character."""
    out = []
    gap = True
    for byte in data(value):
        if chr(byte) in BLANKS:
            gap = True
        elif gap:
            out.append(chr(byte))
            gap = False
    return "".join(out)


def without_blanks(value: str) -> str:
    """Text without blanks; where there were any, each byte of the rest is taken for a character."""
    raw = data(value)
    kept = [chr(byte) for byte in raw if chr(byte) not in BLANKS]
    return value if len(kept) == len(raw) else "".join(kept)


def wrapped_lines(width: int, line_end: str, value: str, cut_words: bool) -> str:
    """Text in lines of at most `width` bytes, broken at blanks; `cut_words` breaks words that are longer."""
    raw = data(value)
    ending = data(line_end) or b"\n"
    width = max(width, 1)
    out = []
    at = 0
    while len(raw) - at > width:
        if raw[at] == 32:
            at += 1
            continue
        end = width + at + 1
        blank = raw.rfind(b" ", at, end)
        if blank >= at:
            out.append(raw[at:blank] + ending)
            at = blank + 1
        elif cut_words:
            out.append(raw[at : at + width] + ending)
            at += width
        else:
            blank = raw.find(b" ", width + at)
            if blank < 0:
                break
            out.append(raw[at:blank] + ending)
            at = blank + 1
    out.append(raw[at:])
    return undata(b"".join(out))


# ---- words -----------------------------------------------------------------------------------------------------------


def quoted(*values: Any) -> str:
    return " ".join([quote(value if type(value) is str else strval(value)) for value in values if value is not None])


def single_quoted(*values: Any) -> str:
    return " ".join([f"'{text(value)}'" for value in values if value is not None])


def concatenated(*values: Any) -> str:
    given = [value for value in values if value is not None]
    return sprintf(" ".join(["%v"] * len(given)), *given)


def parts(separator: str, value: str, count: int = -1) -> list[str]:
    """strings.SplitN: nothing parts at each character; 0 gives none."""
    if count == 0:
        return []
    if not separator:
        chars = list(value)
        if count < 0 or len(chars) <= count:
            return chars
        return [*chars[: count - 1], "".join(chars[count - 1 :])]
    return value.split(separator, count - 1) if count > 0 else value.split(separator)


def numbered(items: list[str]) -> Map:
    return Map("map[string]string", {f"_{index}": item for index, item in enumerate(items)})


def counted(start: int, stop: int, step: int) -> list[int]:
    """Numbers from `start` up to (or down to) and without `stop`; none if the step leads away from it."""
    if (stop < start and step >= 0) or (stop >= start and step <= 0):
        return []
    count = range(start, stop, step)
    if len(count) > MOST_NUMBERS:
        raise GoPanic("runtime error: makeslice: len out of range")
    return list(count)


def sequence(*numbers: int) -> str:
    match numbers:
        case (end,):
            step = -1 if end < 1 else 1
            found = counted(1, end + step, step)
        case (start, end):
            step = -1 if end < start else 1
            found = counted(start, end + step, step)
        case (start, step, end):
            if end < start and step > 0:
                return ""
            found = counted(start, end + (-1 if end < start else 1), step)
        case _:
            return ""
    return " ".join(map(str, found))


# ---- cases of names --------------------------------------------------------------------------------------------------

#: What a name is made of: digits (N), capitals (U), small letters (A), what parts words (C), punctuation (P), others (O);
#: a capital and the small letters behind it are a word (W).
_TOKENS: Final = (
    ("N", lambda char: char.isdecimal()),
    ("U", lambda char: char.isupper()),
    ("A", lambda char: char.islower()),
    ("C", lambda char: char in "-_" or char in BLANKS),
)

#: Which tokens go together: a number with the letters behind it, or else with the word in front of it.
_GROUPS = re.compile("N[AN]*|[UWAO](?:N(?!A))?|C|P")


def _sort(char: str) -> str:
    for name, belongs in _TOKENS:
        if belongs(char):
            return name
    import unicodedata

    return "P" if unicodedata.category(char).startswith("P") else "O"


def _tokens(value: str) -> list[tuple[str, str]]:
    """The name's tokens as (sort, text)."""
    found: list[tuple[str, str]] = []
    for char in value:
        sort = _sort(char)
        if found and (found[-1][0] == sort or (sort == "A" and found[-1][0] == "W")) and sort in "NUAO":
            found[-1] = (found[-1][0], found[-1][1] + char)
        elif sort == "A" and found and found[-1][0] == "U":
            capitals = found.pop()[1]
            if len(capitals) > 1:
                found.append(("U", capitals[:-1]))
            found.append(("W", capitals[-1] + char))
        else:
            found.append((sort, char))
    return found


def hyphenated(value: str, hyphen: str) -> str:
    """A name in small letters with `hyphen` between its words: `HTTPServer20x` as `http-server-20x`."""
    tokens = _tokens(value)
    out = []
    before = "C"
    at = 0
    for group in _GROUPS.findall("".join(sort for sort, _ in tokens)):
        words = "".join(word for _, word in tokens[at : at + len(group)])
        at += len(group)
        if group[0] not in "CP" and before not in "CP":
            out.append(hyphen)
        out.append(hyphen if group == "C" else "".join(map(lower_rune, words)))
        before = group[0]
    return "".join(out)


_HYPHENS: Final = "-_" + BLANKS
_HYPHENS_OR_WORD = re.compile(f"[{re.escape(_HYPHENS)}]+|[^{re.escape(_HYPHENS)}]+")


def pascal_cased(value: str) -> str:
    """A name with its words begun by capitals: `http_server` as `HttpServer`. Of what parts two words the last sign goes; what
    stands at the ends stays. Capitals behind a word's first become small.
    """
    runs = _HYPHENS_OR_WORD.findall(replaced_bytes(value))
    if len(runs) == 1 and runs[0][0] in _HYPHENS:
        return value + value[-1]
    out = []
    for place, run in enumerate(runs):
        if run[0] in _HYPHENS:
            out.append(run[:-1] if 0 < place < len(runs) - 1 else run)
            continue
        rest = run[1:]
        if run[0].isupper():
            capitals = next((at for at, char in enumerate(rest) if not char.isupper()), len(rest))
            rest = lowered(rest[:capitals]) + rest[capitals:]
        out.append(upper_rune(run[0]) + rest)
    return "".join(out)


def joined(separator: str, value: Any) -> str:
    parts = strings(value)
    if len(separator) * len(parts) + sum(map(len, parts)) > MOST_BYTES:
        raise GoPanic("strings: Join output length overflow")
    return separator.join(parts)


FUNCTIONS: Final[list[Function]] = [
    go("hello() string")(lambda: "Hello!"),
    go("abbrev(int, string) string")(abbreviated),
    go("abbrevboth(int, int, string) string")(abbreviated_both),
    go("trunc(int, string) string")(truncated),
    go("trim(string) string")(lambda value: value.strip(BLANKS)),
    go("upper(string) string")(uppered),
    go("lower(string) string")(lowered),
    go("title(string) string")(titled),
    go("untitle(string) string")(untitled),
    go("substr(int, int, string) string")(substring),
    go("repeat(int, string) string")(repeated),
    go("trimall(string, string) string")(lambda signs, value: value.strip(signs) if signs else value),
    go("trimAll(string, string) string")(lambda signs, value: value.strip(signs) if signs else value),
    go("trimSuffix(string, string) string")(lambda end, value: value.removesuffix(end)),
    go("trimPrefix(string, string) string")(lambda start, value: value.removeprefix(start)),
    go("nospace(string) string")(without_blanks),
    go("initials(string) string")(initials),
    go("swapcase(string) string")(swapped),
    go("snakecase(string) string")(lambda value: hyphenated(value, "_")),
    go("kebabcase(string) string")(lambda value: hyphenated(value, "-")),
    go("camelcase(string) string")(pascal_cased),
    go("wrap(int, string) string")(lambda width, value: wrapped_lines(width, "", value, False)),
    go("wrapWith(int, string, string) string")(lambda width, end, value: wrapped_lines(width, end, value, True)),
    go("contains(string, string) bool")(lambda part, value: part in value),
    go("hasPrefix(string, string) bool")(lambda start, value: value.startswith(start)),
    go("hasSuffix(string, string) bool")(lambda end, value: value.endswith(end)),
    go("quote(...interface {}) string")(quoted),
    go("squote(...interface {}) string")(single_quoted),
    go("cat(...interface {}) string")(concatenated),
    go("indent(int, string) string")(indented),
    go("nindent(int, string) string")(nindented),
    go("replace(string, string, string) string")(replaced),
    go("plural(string, string, int) string")(lambda one, many, count: one if count == 1 else many),
    go("toString(interface {}) string")(strval),
    go("split(string, string) map[string]string")(lambda separator, value: numbered(parts(separator, value))),
    go("splitList(string, string) []string")(lambda separator, value: Slice("[]string", parts(separator, value))),
    go("splitn(string, int, string) map[string]string")(
        lambda separator, count, value: numbered(parts(separator, value, count))
    ),
    go("toStrings(interface {}) []string")(lambda value: Slice("[]string", strings(value))),
    go("join(string, interface {}) string")(joined),
    go("sortAlpha(interface {}) []string")(
        lambda value: Slice("[]string", sorted(strings(value) if value is not None else ["<nil>"], key=data))
    ),
    go("until(int) []int")(lambda end: Slice("[]int", counted(0, end, -1 if end < 0 else 1))),
    go("untilStep(int, int, int) []int")(lambda start, end, step: Slice("[]int", counted(start, end, step))),
    go("seq(...int) string")(sequence),
]
