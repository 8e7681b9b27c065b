"""What Go's encoding/json says of text that isn't JSON; for messages only, so it may be slow.

Source: https://pkg.go.dev/encoding/json (the grammar is RFC 8259's) and recorded answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Nesting that Go's decoder takes.
MAX_DEPTH = 10_000

_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPACE = b" \t\r\n"
_HEX = b"0123456789abcdefABCDEF"


@dataclass
class _Fault(Exception):
    text: str


class _Scanner:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def skip(self) -> None:
        while self.at < len(self.raw) and self.raw[self.at] in _SPACE:
            self.at += 1

    def peek(self, context: str) -> int:
        """The next byte that isn't white space; a fault at the end."""
        self.skip()
        if self.at >= len(self.raw):
            raise _Fault("unexpected end of JSON input")
        return self.raw[self.at]

    def refuse(self, context: str) -> _Fault:
        return _Fault(f"invalid character {_quoted(self.raw[self.at])} {context}")

    def document(self) -> None:
        """One value and nothing else; an explicit stack, since input may be nested deeply."""
        stack: list[int] = []
        self.value(stack)
        while stack:
            opener = stack[-1]
            char = self.peek("")
            if opener == ord("["):
                if char == ord(","):
                    self.at += 1
                    self.value(stack)
                elif char == ord("]"):
                    self.at += 1
                    stack.pop()
                else:
                    raise self.refuse("after array element")
            elif char == ord(","):
                self.at += 1
                self.key()
                self.value(stack)
            elif char == ord("}"):
                self.at += 1
                stack.pop()
            else:
                raise self.refuse("after object key:value pair")
        self.skip()
        if self.at < len(self.raw):
            raise self.refuse("after top-level value")

    def value(self, stack: list[int]) -> None:
        """A scalar, an empty container, or the opening of a container down to its first value."""
        while True:
            char = self.peek("")
            if char in b"{[":
                if len(stack) >= MAX_DEPTH:
                    raise self.refuse("exceeded max depth")
                self.at += 1
                following = self.peek("")
                if following == (ord("}") if char == ord("{") else ord("]")):
                    self.at += 1
                    return
                stack.append(char)
                if char == ord("{"):
                    self.key()
                continue
            self.scalar(char)
            return

    def scalar(self, char: int) -> None:
        if char == ord('"'):
            self.string()
        elif char in b"-0123456789":
            self.number()
        elif char in b"tfn":
            self.literal({ord("t"): b"true", ord("f"): b"false", ord("n"): b"null"}[char])
        else:
            raise self.refuse("looking for beginning of value")

    def key(self) -> None:
        if self.peek("") != ord('"'):
            raise self.refuse("looking for beginning of object key string")
        self.string()
        if self.peek("") != ord(":"):
            raise self.refuse("after object key")
        self.at += 1

    def string(self) -> None:
        self.at += 1
        while True:
            if self.at >= len(self.raw):
                raise _Fault("unexpected end of JSON input")
            char = self.raw[self.at]
            if char == ord('"'):
                self.at += 1
                return
            if char < 0x20:
                raise self.refuse("in string literal")
            self.at += 1
            if char == ord("\\"):
                self.escape()

    def escape(self) -> None:
        if self.at >= len(self.raw):
            raise _Fault("unexpected end of JSON input")
        char = self.raw[self.at]
        if char not in b'bfnrt\\/"u':
            raise self.refuse("in string escape code")
        self.at += 1
        if char == ord("u"):
            for _ in range(4):
                if self.at >= len(self.raw):
                    raise _Fault("unexpected end of JSON input")
                if self.raw[self.at] not in _HEX:
                    raise self.refuse("in \\u hexadecimal character escape")
                self.at += 1

    def number(self) -> None:
        match = _NUMBER.match(self.raw, self.at)
        if match is None:
            self.at += 1
            if self.at >= len(self.raw):
                raise _Fault("unexpected end of JSON input")
            raise self.refuse("in numeric literal")
        self.at = match.end()
        if self.at < len(self.raw) and self.raw[self.at] in b".eE":
            self.at += 1
            if self.at >= len(self.raw):
                raise _Fault("unexpected end of JSON input")
            raise self.refuse(
                "after decimal point in numeric literal"
                if self.raw[self.at - 1] == ord(".")
                else "in exponent of numeric literal"
            )

    def literal(self, word: bytes) -> None:
        for offset, wanted in enumerate(word):
            if self.at >= len(self.raw):
                raise _Fault("unexpected end of JSON input")
            if self.raw[self.at] != wanted:
                raise self.refuse(f"in literal {word.decode()} (expecting {_quoted(word[offset])})")
            self.at += 1


def syntax_error(raw: bytes) -> str:
    """The message for `raw`, or "" if it is JSON."""
    try:
        _Scanner(raw).document()
    except _Fault as fault:
        return fault.text
    return ""


def _quoted(char: int) -> str:
    if char == ord("'"):
        return "'\\''"
    if char == ord('"'):
        return "'\"'"
    if char == ord("\\"):
        return "'\\\\'"
    if 0x20 <= char < 0x7F:
        return f"'{chr(char)}'"
    named = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
    if char in named:
        return f"'{named[char]}'"
    # a lone byte is read as the rune of that number
    return (
        f"'\\u{char:04x}'"
        if 0x80 <= char < 0xA1 or char == 0xAD
        else (f"'\\x{char:02x}'" if char < 0x80 else f"'{chr(char)}'")
    )
