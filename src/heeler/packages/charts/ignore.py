"""`.helmignore`: patterns of files that are no part of the chart.

As in Helm, `**` is refused, a `!` turns a pattern around (everything that it doesn't match is ignored), a trailing `/`
asks for a folder, and a pattern with `/` is about the whole path, one without about the last name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from heeler.packages.charts.chart import ChartError


@dataclass(frozen=True, slots=True)
class Rule:
    pattern: re.Pattern[str]
    whole_path: bool
    negated: bool
    only_folders: bool

    def hides(self, path: str, is_folder: bool) -> bool:
        if self.only_folders and not is_folder:
            return self.negated
        return self._matches(path) != self.negated

    def _matches(self, path: str) -> bool:
        return self.pattern.fullmatch(path if self.whole_path else path.rsplit("/", 1)[-1]) is not None


def glob(pattern: str) -> re.Pattern[str]:
    """A pattern of Go's `path/filepath.Match`; `ValueError` where it is none.

    What stands between two stars is taken where it comes first, and not looked for again: many stars take no time.
    """
    out: list[str] = []
    pieces, index = [out], 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            out = []
            pieces.append(out)
        elif char == "?":
            out.append("[^/]")
        elif char == "\\":
            if index >= len(pattern):
                raise ValueError("syntax error in pattern")
            out.append(re.escape(pattern[index]))
            index += 1
        elif char == "[":
            text, index = _class(pattern, index)
            out.append(text)
        else:
            out.append(re.escape(char))
    first, *others = ("".join(piece) for piece in pieces)
    between = "".join(f"(?>[^/]*?{piece})" for piece in others[:-1] if piece)
    return re.compile(first + between + "".join(f"[^/]*{piece}" for piece in others[-1:]), re.DOTALL)


def _class(pattern: str, index: int) -> tuple[str, int]:
    """The class that begins after `[` at `index`, as a regular expression, and where it ends."""
    wrong = ValueError("syntax error in pattern")

    def char() -> str:
        nonlocal index
        if index >= len(pattern) or pattern[index] in "-]":
            raise wrong
        if pattern[index] == "\\":
            index += 1
            if index >= len(pattern):
                raise wrong
        index += 1
        return pattern[index - 1]

    negated = pattern[index : index + 1] == "^"
    index += negated
    ranges: list[str] = []
    while True:
        if index < len(pattern) and pattern[index] == "]" and ranges:
            text = "".join(ranges)
            if not text:  # only ranges that run backwards: nothing is in them
                return ("[^/]" if negated else "(?!)"), index + 1
            return f"(?!/)[{'^' if negated else ''}{text}]", index + 1
        low = high = char()
        if pattern[index : index + 1] == "-":
            index += 1
            high = char()
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        if index >= len(pattern):
            raise wrong


def parse(text: str) -> list[Rule]:
    """The rules of a `.helmignore`, in order; always hides hidden files of `templates/`."""
    rules = []
    for line in text.splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        if "**" in rule:
            raise ChartError("double-star (**) syntax is not supported")
        negated = rule.startswith("!")
        rule = rule.removeprefix("!")
        only_folders = rule.endswith("/")
        rule = rule.removesuffix("/")
        try:
            whole = "/" in rule
            rules.append(Rule(glob(rule.removeprefix("/")), whole, negated, only_folders))
        except ValueError as error:
            raise ChartError(str(error)) from None
    return rules


ALWAYS = Rule(glob("templates/.?*"), True, False, False)


def hidden(rules: list[Rule], path: str, is_folder: bool) -> bool:
    return any(rule.hides(path, is_folder) for rule in rules)
