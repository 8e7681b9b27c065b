"""A template's text as trees: one for the text itself and one for each `define` and `block` in it.

`parse` raises `ParseError` in Go's words. Blocks and parentheses nest `MAX_NESTING` deep at most, which is far more than
anybody writes and less than what Go takes; chains of `else if` don't count.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

from heeler.packages.template import lex
from heeler.packages.template.formatting import quote
from heeler.packages.template.lex import Token
from heeler.packages.template.nodes import (
    Action,
    Block,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Leave,
    Nil,
    Node,
    Number,
    Pipe,
    Source,
    String,
    Text,
    Tree,
    Variable,
)
from heeler.packages.template.stack import with_room
from heeler.packages.template.values import GoError

MAX_NESTING: Final = 100

_OPERANDS: Final = frozenset(
    {
        lex.BOOL,
        lex.CHARACTER,
        lex.COMPLEX,
        lex.DOT,
        lex.FIELD,
        lex.IDENTIFIER,
        lex.NUMBER,
        lex.NIL,
        lex.RAW,
        lex.STRING,
        lex.VARIABLE,
        lex.OPEN,
    }
)
_NOT_EXECUTABLE: Final = (Bool, Dot, Nil, Number, String)
_FRAMES_A_LEVEL: Final = 6
"""Python's frames for a level of nesting, in this parser and in what is compiled of it."""


class ParseError(GoError):
    """`template: NAME:LINE: message`."""


def parse(name: str, text: str, functions: Container[str]) -> list[Tree]:
    """The trees of `text`: those that it defines in their order, and last the one called `name`.

    `functions` says which functions there are. Raises ParseError.
    """
    return with_room(MAX_NESTING * _FRAMES_A_LEVEL, lambda: _Parser(name, text, functions).parse())


class _End(Node):
    """`{{end}}` or `{{else}}`, which end a list."""

    __slots__ = ("word",)

    def __init__(self, word: str) -> None:
        super().__init__(0)
        self.word = word

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


class _Parser:
    def __init__(self, name: str, text: str, functions: Container[str]) -> None:
        self.name = name
        self.source = Source(name, text)
        self.functions = functions
        self.tokens = lex.tokens(text)
        self.tokens += [self.tokens[-1]] * 3  # what looks ahead past the end finds the last one again
        self.next_index = 0
        self.furthest = 0  # the last token that was looked at: its line is that of a fault
        self.variables = ["$"]
        self.ranges = 0
        self.action_at = -1  # where the action under way starts
        self.nesting = 0
        self.deepest = 0
        self.trees: dict[str, Tree] = {}

    # --- tokens

    def next(self) -> Token:
        index = self.next_index
        self.next_index = index + 1
        if index > self.furthest:
            self.furthest = index
        return self.tokens[index]

    def next_but_space(self) -> Token:
        token = self.tokens[self.next_index]
        if token.kind == lex.SPACE:
            self.next_index += 1
        return self.next()

    def peek(self) -> Token:
        index = self.next_index
        if index > self.furthest:
            self.furthest = index
        return self.tokens[index]

    def peek_but_space(self) -> Token:
        """The next token that is no blank. Blanks before it are gone then."""
        token = self.tokens[self.next_index]
        if token.kind == lex.SPACE:
            self.next_index += 1
        return self.peek()

    def expect(self, kind: str, context: str) -> Token:
        token = self.next_but_space()
        if token.kind != kind:
            raise self.unexpected(token, context)
        return token

    # --- faults

    def line(self, at: int) -> int:
        return self.source.text.count("\n", 0, at) + 1

    def fault(self, message: str) -> ParseError:
        return ParseError(f"template: {self.name}:{self.line(self.tokens[self.furthest].at)}: {message}")

    def unexpected(self, token: Token, context: str) -> ParseError:
        if token.kind != lex.ERROR:
            return self.fault(f"unexpected {_shown(token)} in {context}")
        extra = ""
        if self.action_at >= 0 and (line := self.line(self.action_at)) != self.line(token.at):
            extra = f" in action started at {self.name}:{line}"
            if token.text.endswith(" action"):
                extra = extra.removeprefix(" in action")
        return self.fault(token.text + extra)

    # --- lists

    def parse(self) -> list[Tree]:
        root = Block(0)
        nodes = root.nodes
        while self.peek().kind != lex.EOF:
            if self.peek().kind == lex.LEFT:
                start = self.next_index
                self.next()
                if self.next_but_space().kind == "define":
                    self.definition()
                    continue
                self.next_index = start
            node = self.text_or_action()
            if isinstance(node, _End):
                raise self.fault(f"unexpected {node}")
            nodes.append(node)
        self.add(Tree(self.name, self.source, root, self.deepest))
        return list(self.trees.values())

    def add(self, tree: Tree) -> None:
        """Keep a tree. Of two with a name one must be empty, and goes."""
        known = self.trees.get(tree.name)
        if known is None or known.is_empty():
            self.trees.pop(tree.name, None)
            self.trees[tree.name] = tree
        elif not tree.is_empty():
            raise self.fault(f"template: multiple definition of template {quote(tree.name)}")

    def body(self, name: str, context: str) -> None:
        """The text of a `define` or `block`: nothing of what is around it is seen inside."""
        outer = self.variables, self.ranges, self.deepest, self.action_at
        self.variables, self.ranges, self.deepest, self.action_at = ["$"], 0, self.nesting, -1
        root, end = self.block()
        if end.word != "end":
            raise self.fault(f"unexpected {end} in {context}")
        self.add(Tree(name, self.source, root, self.deepest - self.nesting + 1))
        self.variables, self.ranges, self.deepest, self.action_at = outer

    def definition(self) -> None:
        context = "define clause"
        name, _ = self.template_name(self.next_but_space(), context)
        self.expect(lex.RIGHT, context)
        self.body(name, context)

    def block(self) -> tuple[Block, _End]:
        self.enter("blocks nest too deeply")
        block = Block(self.peek_but_space().at)
        while self.peek_but_space().kind != lex.EOF:
            node = self.text_or_action()
            if isinstance(node, _End):
                self.nesting -= 1
                return block, node
            block.nodes.append(node)
        raise self.fault("unexpected EOF")

    def enter(self, message: str) -> None:
        self.nesting += 1
        if self.nesting > self.deepest:
            self.deepest = self.nesting
            if self.nesting > MAX_NESTING:
                raise self.fault(message)

    def text_or_action(self) -> Node:
        token = self.next_but_space()
        if token.kind == lex.TEXT:
            return Text(token.at, token.text)
        if token.kind == lex.LEFT:
            self.action_at = token.at
            node = self.action()
            self.action_at = -1
            return node
        raise self.unexpected(token, "input")

    def action(self) -> Node:
        token = self.next_but_space()
        match token.kind:
            case "block":
                return self.block_control()
            case "break" | "continue":
                return self.leave(token)
            case "else":
                return self.otherwise()
            case "end":
                self.expect(lex.RIGHT, "end")
                return _End("end")
            case "if" | "range" | "with":
                return self.control(token.kind)
            case "template":
                return self.call()
        self.next_index -= 1
        return Action(self.peek().at, self.pipeline("command", lex.RIGHT))

    # --- control words

    def leave(self, token: Token) -> Node:
        word = f"{{{{{token.kind}}}}}"
        following = self.next_but_space()
        if following.kind != lex.RIGHT:
            raise self.unexpected(following, word)
        if not self.ranges:
            raise self.fault(f"{word} outside {{{{range}}}}")
        return Leave(token.at, token.kind)

    def otherwise(self) -> Node:
        # What follows in `else if` and `else with` is read by the branch itself, as another branch.
        if self.peek_but_space().kind not in ("if", "with"):
            self.expect(lex.RIGHT, "else")
        return _End("else")

    def control(self, word: str) -> Node:
        """A branch with all that follow it by `else if`: a loop, since there may be many."""
        seen = len(self.variables)
        first = branch = self.branch(word)
        while True:
            end = self.end
            if end.word == "end":
                break
            if word in ("if", "with") and self.peek().kind == word:
                self.next()
                further = self.branch(word)
                branch.otherwise = Block(further.at, [further])
                branch = further
                continue
            branch.otherwise, end = self.block()
            if end.word != "end":
                raise self.fault(f"expected end; found {end}")
            break
        del self.variables[seen:]
        return first

    def branch(self, word: str) -> Branch:
        """`if PIPE}}BODY`, as far as what ends it, which is left in `self.end`."""
        pipe = self.pipeline(word, lex.RIGHT)
        if word == "range":
            self.ranges += 1
        body, self.end = self.block()
        if word == "range":
            self.ranges -= 1
        return Branch(pipe.at, word, pipe, body)

    def block_control(self) -> Node:
        context = "block clause"
        token = self.next_but_space()
        name, quoted = self.template_name(token, context)
        pipe = self.pipeline(context, lex.RIGHT)
        self.body(name, context)
        return Call(token.at, name, pipe, quoted)

    def call(self) -> Node:
        context = "template clause"
        token = self.next_but_space()
        name, quoted = self.template_name(token, context)
        pipe = None
        if self.next_but_space().kind != lex.RIGHT:
            self.next_index -= 1
            pipe = self.pipeline(context, lex.RIGHT)
        return Call(token.at, name, pipe, quoted)

    def template_name(self, token: Token, context: str) -> tuple[str, str]:
        """The name that a string constant gives, and how Go quotes it."""
        if token.kind not in (lex.STRING, lex.RAW):
            raise self.unexpected(token, context)
        name = self.unquoted(token)
        return name, quote(name)

    # --- pipelines

    def pipeline(self, context: str, end: str) -> Pipe:
        pipe = Pipe(self.peek_but_space().at)
        self.declarations(pipe, context)
        while True:
            token = self.next_but_space()
            if token.kind == end:
                break
            if token.kind not in _OPERANDS:
                raise self.unexpected(token, context)
            self.next_index -= 1
            pipe.commands.append(self.command(token.at))
        if not pipe.commands:
            raise self.fault(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.arguments[0], _NOT_EXECUTABLE):
                raise self.fault(f"non executable command in pipeline stage {stage}")
        return pipe

    def declarations(self, pipe: Pipe, context: str) -> None:
        while self.peek_but_space().kind == lex.VARIABLE:
            start = self.next_index
            name = self.next()
            following = self.peek_but_space()
            if following.kind in (lex.ASSIGN, lex.DECLARE):
                self.next()
                pipe.assigns = following.kind == lex.ASSIGN
                self.declare(pipe, name)
                return
            if following.kind != lex.CHAR or following.text != ",":
                self.next_index = start
                return
            self.next()
            self.declare(pipe, name)
            if context != "range" or len(pipe.variables) > 1:
                raise self.fault(f"too many declarations in {context}")
            if self.peek_but_space().kind not in (lex.VARIABLE, lex.RIGHT, lex.CLOSE):
                raise self.fault("range can only initialize variables")

    def declare(self, pipe: Pipe, name: Token) -> None:
        pipe.variables.append(Variable(name.at, [name.text]))
        self.variables.append(name.text)

    def command(self, at: int) -> Command:
        command = Command(at)
        while True:
            operand = self.operand()
            if operand is not None:
                command.arguments.append(operand)
            token = self.next()
            if token.kind == lex.SPACE:
                continue
            if token.kind in (lex.RIGHT, lex.CLOSE):
                self.next_index -= 1
            elif token.kind != lex.PIPE:
                raise self.unexpected(token, "operand")
            break
        if not command.arguments:
            raise self.fault("empty command")
        return command

    def operand(self) -> Node | None:
        """A term with the fields that follow it directly. An error points at the first of those."""
        node = self.term()
        if node is None or self.peek().kind != lex.FIELD:
            return node
        at = self.peek().at
        names: list[str] = []
        while self.peek().kind == lex.FIELD:
            names.append(self.next().text[1:])
        match node:
            case Field():
                return Field(at, node.names + names)
            case Variable():
                return Variable(at, node.names + names)
            case Bool() | String() | Number() | Nil() | Dot():
                raise self.fault(f"unexpected . after term {quote(str(node))}")
        return Chain(at, node, names)

    def term(self) -> Node | None:
        token = self.next_but_space()
        at, text = token.at, token.text
        match token.kind:
            case lex.IDENTIFIER:
                if text not in self.functions:
                    raise self.fault(f"function {quote(text)} not defined")
                return Identifier(at, text)
            case lex.FIELD:
                return Field(at, [text[1:]])
            case lex.VARIABLE:
                if text not in self.variables:
                    raise self.fault(f"undefined variable {quote(text)}")
                return Variable(at, [text])
            case lex.STRING | lex.RAW:
                return String(at, self.unquoted(token), text)
            case lex.DOT:
                return Dot(at)
            case lex.OPEN:
                self.enter("max expression depth exceeded")
                pipe = self.pipeline("parenthesized pipeline", lex.CLOSE)
                self.nesting -= 1
                return pipe
            case lex.NUMBER | lex.COMPLEX | lex.CHARACTER:
                return self.number(token)
            case lex.BOOL:
                return Bool(at, text == "true")
            case lex.NIL:
                return Nil(at)
        self.next_index -= 1
        return None

    # --- constants

    def unquoted(self, token: Token) -> str:
        """A string constant's value. Between quotes, but not between backquotes, bytes that are no UTF-8 are lost."""
        text = token.text[1:-1]
        if token.kind == lex.RAW:
            return text.replace("\r", "")
        text = _NO_UTF8.sub("\ufffd", text)
        if "\\" not in text:
            return text
        value = unescaped(text, '"')
        if value is None:
            raise self.fault("invalid syntax")
        return value

    def number(self, token: Token) -> Number:
        text = token.text
        number = Number(token.at, text)
        if token.kind == lex.CHARACTER:
            self.character(number)
        elif token.kind == lex.COMPLEX:
            _complex(number, text)
        elif not (text.endswith("i") and _imaginary(number, text)):
            self.real(number)
        return number

    def character(self, number: Number) -> None:
        inside = _NO_UTF8.sub("\ufffd", number.text[1:-1])
        value = unescaped(inside, "'", single=True)
        if not value:
            raise self.fault("invalid syntax")
        length = len(_ESCAPE.match(inside).group()) if inside[0] == "\\" else 1  # type: ignore[union-attr]
        if len(inside) > length:
            raise self.fault(f"malformed character constant: {number.text}")
        code = ord(value)
        if inside[0] == "\\" and 0xDC80 <= code <= 0xDCFF:
            code -= 0xDC00
        number.integer = number.unsigned = code
        number.floating = float(code)

    def real(self, number: Number) -> None:
        text = number.text
        value = _integer(text)
        if value is not None:
            if 0 <= value < 1 << 64 and text[0] not in "+-":
                number.unsigned = value
            if -(1 << 63) <= value < 1 << 63:
                number.integer = value
                if value == 0:
                    number.unsigned = 0
        if number.integer is not None:
            number.floating = float(number.integer)
        elif number.unsigned is not None:
            number.floating = float(number.unsigned)
        elif (floating := _floating(text)) is not None:
            # What looks like a whole number and isn't one by now is too large.
            if not any(char in ".eEpP" for char in text):
                raise self.fault(f"integer overflow: {quote(text)}")
            number.floating = floating
            _whole(number)
        else:
            raise self.fault(f"illegal number syntax: {quote(text)}")


def _whole(number: Number) -> None:
    """A number with a point that has nothing behind it is a whole one too."""
    floating = number.floating or 0.0
    if floating.is_integer():
        if -(2.0**63) <= floating < 2.0**63:
            number.integer = int(floating)
        if 0 <= floating < 2.0**64:
            number.unsigned = int(floating)


_INTEGER: Final = re.compile(
    r"[+-]?(?:0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?[0-9])*)\Z"
)
_FLOAT: Final = re.compile(
    r"[+-]?(?:[0-9](?:_?[0-9])*\.?(?:[0-9](?:_?[0-9])*)?|\.[0-9](?:_?[0-9])*)(?:[eE][+-]?[0-9](?:_?[0-9])*)?\Z"
)
_HEXADECIMAL: Final = re.compile(r"[+-]?0[xX]_?[0-9a-fA-F_]*\.?[0-9a-fA-F_]*[pP][+-]?[0-9_]+\Z")
_ESCAPE: Final = re.compile(r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_NO_UTF8: Final = re.compile("[\udc80-\udcff]")
_PLAIN: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def _integer(text: str) -> int | None:
    if not _INTEGER.match(text):
        return None
    digits = text.lstrip("+-").replace("_", "")
    if len(digits) > 80:  # far too large; Python's own bound on digits isn't met then
        return 1 << 65
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        value = int(digits, 8)
    else:
        value = int(digits, 0)
    return -value if text[0] == "-" else value


def _floating(text: str) -> float | None:
    """strconv.ParseFloat; None for what is none or too large."""
    if _HEXADECIMAL.match(text):
        try:
            return float.fromhex(text.replace("_", ""))
        except (ValueError, OverflowError):
            return None
    if not _FLOAT.match(text):
        return None
    value = float(text)
    return None if value in (float("inf"), float("-inf")) else value


def _imaginary(number: Number, text: str) -> bool:
    value = _floating(text[:-1])
    if value is None:
        return False
    number.complex = complex(0.0, value)
    _simplify(number)
    return True


def _complex(number: Number, text: str) -> None:
    split = max(text.rfind("+"), text.rfind("-"))
    if text[split - 1] in "eEpP":
        split = max(text.rfind("+", 0, split), text.rfind("-", 0, split))
    number.complex = complex(_floating(text[:split]) or 0.0, _floating(text[split:-1]) or 0.0)
    _simplify(number)


def _simplify(number: Number) -> None:
    """A complex number without an imaginary part is a real one too."""
    if number.complex is not None and number.complex.imag == 0:
        number.floating = number.complex.real
        _whole(number)


def unescaped(text: str, mark: str, *, single: bool = False) -> str | None:
    """What stands between the quotes as Go reads it; None if it is no constant. `single`: the first character only."""
    parts: list[str] = []
    raw = bytearray()  # bytes that \x and \377 give may make a character together
    at = 0
    while at < len(text) and not (single and at):
        if text[at] != "\\":
            if text[at] == mark:
                return None
            parts.append(_bytes(raw) + text[at])
            at += 1
            continue
        match = _ESCAPE.match(text, at)
        if match is None:
            return None
        at = match.end()
        plain, hexadecimal, octal, short, long = match.groups()
        if plain:
            if plain in "'\"" and plain != mark:
                return None
            parts.append(_bytes(raw) + _PLAIN.get(plain, plain))
        elif hexadecimal or octal:
            code = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
            if code > 255:
                return None
            raw.append(code)
        else:
            code = int(short or long, 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                return None
            parts.append(_bytes(raw) + chr(code))
    parts.append(_bytes(raw))
    return "".join(parts)


def _bytes(raw: bytearray) -> str:
    text = raw.decode("utf-8", "surrogateescape")
    raw.clear()
    return text


def _shown(token: Token) -> str:
    """A token as a fault shows it: its text, quoted and cut."""
    if token.kind == lex.EOF:
        return "EOF"
    if token.kind in lex.KEYWORDS or token.kind == lex.DOT:
        return f"<{token.text}>"
    if len(token.text.encode("utf-8", "surrogateescape")) > 10:
        return f"{quote(token.text[:10])}..."
    return quote(token.text)
