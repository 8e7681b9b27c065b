"""A template's text as tokens. A fault ends the list with a token of kind ERROR, whose text is Go's message.

One regular expression reads what an action may hold; what it doesn't match is looked at by hand, for the message.
Positions are in characters.
"""

from __future__ import annotations

import re
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

_WORDS: Final = {**{word: word for word in KEYWORDS}, "true": BOOL, "false": BOOL}

_DIGITS: Final = r"""
    [+-]?
    (?: 0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?
      | 0[oO][0-7_]*(?:\.[0-7_]*)?
      | 0[bB][01_]*(?:\.[01_]*)?
      | [0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)? )
    i?
"""
_ENDS: Final = r"(?=[ \t\r\n.,|:()]|\}\}|\Z)"  # what may stand behind a word

# What may stand inside of an action; the order of alternatives counts. The blank before a trim marker is the delimiter's.
_INSIDE: Final = re.compile(
    rf"""
      (?P<right>\}}\}} | [ \t\r\n]-\}}\}}[ \t\r\n]*)
    | (?P<space>[ \t\r\n]+?(?=[ \t\r\n]-\}}\}}) | [ \t\r\n]+)
    | (?P<field>\.[^\W0-9]\w*){_ENDS}
    | (?P<identifier>[^\W0-9]\w*){_ENDS}
    | (?P<variable>\$\w*){_ENDS}
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
    | (?P<pipe>\|)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<declare>:=)
    | (?P<number>(?=[+-]|\.?[0-9])(?>{_DIGITS})(?![\w+-]))
    | (?P<dot>\.){_ENDS}
    | (?P<raw>`[^`]*`)
    | (?P<character>'(?:[^'\\\n]|\\[^\n])*')
    | (?P<assign>=)
    """,
    re.VERBOSE,
)
_NUMBER: Final = re.compile(_DIGITS, re.VERBOSE)
_WORD: Final = re.compile(r"[.$]?\w*")
_UNFINISHED: Final = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}


class Token(NamedTuple):
    kind: str
    at: int
    text: str


def tokens(text: str) -> list[Token]:
    """All tokens of a text; the last one is EOF or ERROR."""
    found: list[Token] = []
    at = 0
    while True:
        left = text.find("{{", at)
        if left < 0:
            if at < len(text):
                found.append(Token(TEXT, at, text[at:]))
            found.append(Token(EOF, len(text), ""))
            return found
        trims = text.startswith("-", left + 2) and text[left + 3 : left + 4] in (" ", "\t", "\r", "\n")
        before = text[at:left].rstrip(BLANK) if trims else text[at:left]
        if before:
            found.append(Token(TEXT, at, before))
        at = left + (4 if trims else 2)
        if text.startswith("/*", at):
            at = _comment(text, at, found)
        else:
            found.append(Token(LEFT, left, "{{"))
            at = _action(text, at, found)
        if at < 0:
            return found


def _comment(text: str, start: int, found: list[Token]) -> int:
    """Where the text goes on behind a comment; negative after a fault."""
    end = text.find("*/", start + 2)
    if end < 0:
        found.append(Token(ERROR, start, "unclosed comment"))
        return -1
    closing = _INSIDE.match(text, end + 2)
    if closing is None or closing.lastgroup != RIGHT:
        found.append(Token(ERROR, start, "comment ends before closing delimiter"))
        return -1
    return closing.end()


def _action(text: str, at: int, found: list[Token]) -> int:
    """The tokens as far as the closing delimiter. Where the text goes on behind it; negative after a fault."""
    match, words, plain = _INSIDE.match, _WORDS, text.isascii()
    depth = 0
    while True:
        matched = match(text, at)
        if matched is None:
            token = _odd(text, at)
            found.append(token)
            if token.kind is ERROR:
                return -1
            at += len(token.text)
            continue
        kind: str = matched.lastgroup  # type: ignore[assignment]
        word = matched.group()
        if kind == IDENTIFIER:
            kind = words.get(word, IDENTIFIER)
        elif kind == RIGHT:
            if depth:
                found.append(Token(ERROR, at, "unclosed left paren"))
                return -1
            found.append(Token(RIGHT, at, "}}"))
            return matched.end()
        elif kind == OPEN:
            depth += 1
        elif kind == CLOSE:
            depth -= 1
            if depth < 0:
                found.append(Token(ERROR, at, "unexpected right paren"))
                return -1
        if not plain and not word.isascii() and (fault := _odd_letter(kind, word, at)):
            found.append(fault)
            return -1
        found.append(Token(kind, at, word))
        at = matched.end()


def _odd_letter(kind: str, word: str, at: int) -> Token | None:
    """The fault of a word with what is a letter or digit in Python only."""
    if kind not in (IDENTIFIER, FIELD, VARIABLE):
        return None
    for index, char in enumerate(word):
        if not (char in "$." or _is_letter(char)):
            what = "bad character" if index else "unrecognized character in action:"
            return Token(ERROR, at, f"{what} {unicode_name(char)}")
    return None


def _odd(text: str, at: int) -> Token:
    """What no token is: a fault, a character by itself, or a number that needs a closer look."""
    char = text[at : at + 1]
    if not char:
        return Token(ERROR, at, "unclosed action")
    if char in _UNFINISHED:
        return Token(ERROR, at, _UNFINISHED[char])
    if char == ":":
        return Token(ERROR, at, "expected :=")
    following = text[at + 1 : at + 2]
    if char in "+-0123456789" or (char == "." and "0" <= following <= "9"):
        return _number(text, at)
    if char in ".$" or _is_letter(char):
        end = _WORD.match(text, at).end()  # type: ignore[union-attr]
        return Token(ERROR, at, f"bad character {unicode_name(text[end])}")
    if char.isascii() and char.isprintable():
        return Token(CHAR, at, char)
    return Token(ERROR, at, f"unrecognized character in action: {unicode_name(char)}")


def _number(text: str, at: int) -> Token:
    """A number with another behind it, as complex ones are written, or with letters."""
    end = _scan(text, at)
    if end > 0 and text[end : end + 1] in ("+", "-"):
        end = _scan(text, end)
        if end > 0 and text[end - 1] == "i":
            return Token(COMPLEX, at, text[at:end])
    elif end > 0:
        return Token(NUMBER, at, text[at:end])
    return Token(ERROR, at, f"bad number syntax: {quote(text[at : abs(end)])}")


def _scan(text: str, at: int) -> int:
    """Where the number ends; negative, and one letter further, if a letter or digit stands there."""
    end = _NUMBER.match(text, at).end()  # type: ignore[union-attr]
    following = text[end : end + 1]
    return -(end + 1) if following and _is_letter(following) else end


def _is_letter(char: str) -> bool:
    """What Go takes for a letter or digit of a word: Python's digits hold more (²)."""
    return char == "_" or char.isalpha() or char.isdecimal()


def unicode_name(char: str) -> str:
    """`U+0023 '#'`, as `%#U` prints it."""
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:  # a byte that is no UTF-8
        char, code = "\ufffd", 0xFFFD
    return f"U+{code:04X} '{char}'" if char.isprintable() else f"U+{code:04X}"
