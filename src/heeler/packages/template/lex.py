"""A template's text as tokens. A fault ends the list with a token of kind ERROR, whose text is Go's message.

Python's regular expressions do the scanning; positions are in characters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from heeler.packages.template.formatting import quote

TEXT: Final = "text"
LEFT: Final = "left"
RIGHT: Final = "right"
SPACE: Final = "space"
ERROR: Final = "error"
EOF: Final = "eof"
ASSIGN: Final = "assign"
DECLARE: Final = "declare"
PIPE: Final = "pipe"
OPEN: Final = "open"
CLOSE: Final = "close"
CHAR: Final = "char"
DOT: Final = "dot"
FIELD: Final = "field"
VARIABLE: Final = "variable"
IDENTIFIER: Final = "identifier"
BOOL: Final = "bool"
NUMBER: Final = "number"
COMPLEX: Final = "complex"
CHARACTER: Final = "character"
STRING: Final = "string"
RAW: Final = "raw"
NIL: Final = "nil"

KEYWORDS: Final = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with"}
)
"""Their tokens' kinds are the words themselves."""

BLANK: Final = " \t\r\n"

# What may stand inside of an action. The order of alternatives counts.
_INSIDE: Final = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<identifier>[^\W0-9]\w*)
    | (?P<variable>\$\w*)
    | (?P<number>(?:[+-]|\.?[0-9]))
    | (?P<field>\.\w*)
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
    | (?P<raw>`[^`]*`)
    | (?P<character>'(?:[^'\\\n]|\\[^\n])*')
    | (?P<declare>:=)
    | (?P<assign>=)
    | (?P<pipe>\|)
    | (?P<open>\()
    | (?P<close>\))
    """,
    re.VERBOSE,
)
_NUMBER: Final = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_TERMINATORS: Final = frozenset(" \t\r\n.,|:()")
_UNFINISHED: Final = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}


class Token(NamedTuple):
    kind: str
    at: int
    text: str
    line: int


@dataclass(slots=True)
class Lexer:
    """Reads one text: `tokens()` gives them all."""

    text: str
    at: int = 0
    line: int = 1
    counted: int = 0

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        text = self.text
        while True:
            left = text.find("{{", self.at)
            if left < 0:
                if self.at < len(text):
                    found.append(self._token(TEXT, self.at, text[self.at :]))
                found.append(self._token(EOF, len(text), ""))
                return found
            trims = text[left + 2 : left + 3] == "-" and text[left + 3 : left + 4] in BLANK and left + 3 < len(text)
            before = text[self.at : left]
            if trims:
                before = before.rstrip(BLANK)
            if before:
                found.append(self._token(TEXT, self.at, before))
            self.at = left + (4 if trims else 2)
            if text.startswith("/*", self.at):
                if fault := self._comment():
                    found.append(fault)
                    return found
                continue
            found.append(self._token(LEFT, left, "{{"))
            if not self._action(found):
                return found

    def _token(self, kind: str, at: int, text: str) -> Token:
        """A token that starts at `at`: never before one that was made already."""
        if at > self.counted:
            self.line += self.text.count("\n", self.counted, at)
            self.counted = at
        return Token(kind, at, text, self.line)

    def _comment(self) -> Token | None:
        start = self.at
        end = self.text.find("*/", start + 2)
        if end < 0:
            return self._token(ERROR, start, "unclosed comment")
        self.at = end + 2
        if not (width := self._right_width(self.at)):
            return self._token(ERROR, start, "comment ends before closing delimiter")
        self._close(width)
        return None

    def _right_width(self, at: int) -> int:
        """How long the closing delimiter at `at` is with its trim marker; 0 if there is none."""
        text = self.text
        if text.startswith("}}", at):
            return 2
        if text.startswith("-}}", at + 1) and text[at] in BLANK:
            return 4
        return 0

    def _close(self, width: int) -> None:
        self.at += width
        if width == 4:
            text = self.text
            while self.at < len(text) and text[self.at] in BLANK:
                self.at += 1

    def _action(self, found: list[Token]) -> bool:
        """The tokens as far as the closing delimiter; whether there was no fault."""
        text, depth = self.text, 0
        while True:
            at = self.at
            if width := self._right_width(at):
                if depth:
                    found.append(self._token(ERROR, at, "unclosed left paren"))
                    return False
                found.append(self._token(RIGHT, at + width - 2, "}}"))
                self._close(width)
                return True
            match = _INSIDE.match(text, at)
            if match is None:
                token = self._odd(at)
            else:
                kind = match.lastgroup or ""
                end = match.end()
                if kind == SPACE:
                    # The blank before a trim marker belongs to the delimiter.
                    if text.startswith("-}}", end):
                        end -= 1
                        if end == at:
                            continue
                    token = self._token(SPACE, at, text[at:end])
                elif kind in (IDENTIFIER, FIELD, VARIABLE):
                    token = self._word(kind, at, end)
                elif kind == NUMBER:
                    token = self._number(at)
                else:
                    if kind == OPEN:
                        depth += 1
                    elif kind == CLOSE:
                        depth -= 1
                    token = self._token(kind, at, text[at:end])
                    if depth < 0:
                        token = self._token(ERROR, at, "unexpected right paren")
            found.append(token)
            if token.kind == ERROR:
                return False
            self.at = at + len(token.text)

    def _word(self, kind: str, at: int, end: int) -> Token:
        text = self.text
        word = text[at:end]
        if not word.isascii():  # Python's letters are Go's, but not its digits: there ² is none
            end = next((at + index for index, char in enumerate(word) if not _is_letter(char)), end)
            word = text[at:end]
            if not word:
                return self._token(ERROR, at, f"unrecognized character in action: {unicode_name(text[at])}")
        if end < len(text) and text[end] not in _TERMINATORS and not text.startswith("}}", end):
            return self._token(ERROR, at, f"bad character {unicode_name(text[end])}")
        if kind == IDENTIFIER:
            if word in KEYWORDS:
                kind = word
            elif word in ("true", "false"):
                kind = BOOL
        elif word == ".":
            kind = DOT
        return self._token(kind, at, word)

    def _number(self, at: int) -> Token:
        text = self.text
        end = self._scan_number(at)
        if end > 0 and text[end : end + 1] in ("+", "-"):
            end = self._scan_number(end)
            if end > 0 and text[end - 1] == "i":
                return self._token(COMPLEX, at, text[at:end])
            return self._bad_number(at, abs(end))
        if end < 0:
            return self._bad_number(at, -end)
        return self._token(NUMBER, at, text[at:end])

    def _scan_number(self, at: int) -> int:
        """Where the number ends; negative, and one letter further, if a letter or digit stands there."""
        match = _NUMBER.match(self.text, at)
        end = match.end() if match else at
        following = self.text[end : end + 1]
        if following == "_" or following.isalnum():
            return -(end + 1)
        return end

    def _bad_number(self, at: int, end: int) -> Token:
        return self._token(ERROR, at, f"bad number syntax: {quote(self.text[at:end])}")

    def _odd(self, at: int) -> Token:
        """What starts no token by itself."""
        char = self.text[at : at + 1]
        if not char:
            return self._token(ERROR, at, "unclosed action")
        if char in _UNFINISHED:
            return self._token(ERROR, at, _UNFINISHED[char])
        if char == ":":
            return self._token(ERROR, at, "expected :=")
        if char.isascii() and char.isprintable():
            return self._token(CHAR, at, char)
        return self._token(ERROR, at, f"unrecognized character in action: {unicode_name(char)}")


def _is_letter(char: str) -> bool:
    return char in "_$." or char.isalpha() or char.isdecimal()


def unicode_name(char: str) -> str:
    """`U+0023 '#'`, as `%#U` prints it."""
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:  # a byte that is no UTF-8
        char, code = "\ufffd", 0xFFFD
    return f"U+{code:04X} '{char}'" if char.isprintable() else f"U+{code:04X}"
