"""Go's regular expressions: matched by RE2 (whose syntax and linear time they have), faults told in Go's words.

Source: https://pkg.go.dev/regexp/syntax#ErrorCode
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

#: RE2's words -> Go's, where they differ.
_WORDS = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid repetition size": "invalid repeat count",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
}


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Does the pattern match somewhere in a text? Raises ValueError with Go's words for a bad pattern."""
    found = compiled(pattern)
    return lambda text: found.search(text) is not None


def problem(pattern: str) -> str:
    """What Go says of the pattern, or "" for a good one."""
    try:
        matcher(pattern)
    except ValueError as error:
        return str(error)
    return ""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """RE2's form of a pattern. Raises ValueError with Go's words for a bad one."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0]
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        what, _, where = text.partition(": ")
        raise ValueError(f"error parsing regexp: {_WORDS.get(what, what)}: `{where}`") from error
