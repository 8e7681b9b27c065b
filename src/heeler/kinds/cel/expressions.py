"""Compile and evaluate CEL expressions; faults in the words of Kubernetes' compiler.

The language is the reference implementation's (cel-expr-python), the functions that Kubernetes adds are `library.py`'s.
What isn't there: `indexOf` of lists, `string` of addresses, the library format, questions to the authorizer with selectors,
comprehensions with two variables, and limits of cost (an expression's text is limited instead).
Source: https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: Characters of one expression; upstream limits the cost, which mostly refuses such texts too.
MAX_TEXT = 64 * 1024


class CompileError(ValueError):
    """The text is no expression, or its types don't fit; the words are those of the compiler ("ERROR: <input>:1:8…")."""


class EvaluationError(ValueError):
    """The expression has no value for these variables ("no such key: x")."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression. `returns`: "bool", "string", "int", … or "dyn" if only the evaluation tells."""

    returns: str
    _compiled: Any

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """The value, as plain Python. Raises EvaluationError."""
        try:
            found = self._compiled.eval(data=variables)
        except RuntimeError as error:  # the library's own limit of steps
            raise EvaluationError("operation cancelled: actual cost limit exceeded") from error
        if found.type().name() == "ERROR":
            raise EvaluationError(_evaluation_words(str(found.value())))
        return found.plain_value()


class Environment:
    """Variables with their types, and the functions that Kubernetes adds."""

    def __init__(self, variables: Mapping[str, Any] | None = None, pool: Any = None) -> None:
        """`variables`: names and `cel.Type`s (any value if None); `pool`: descriptors of message types named there."""
        from heeler.kinds.cel.runtime import runtime

        cel = runtime()

        from heeler.kinds.cel.library import descriptors, extensions, functions

        self._environment = cel.NewEnv(
            pool or descriptors(),
            variables={name: kind or cel.Type.DYN for name, kind in (variables or {}).items()},
            extensions=extensions(),
            functions=functions(),
        )

    def compile(self, text: str, *, check: bool = True) -> Expression:
        """Raises CompileError. `check=False` leaves types to the evaluation."""
        if len(text) > MAX_TEXT:
            raise CompileError(f"ERROR: <input>:1:1: expression is longer than {MAX_TEXT} characters")
        try:
            compiled = self._environment.compile(text, disable_check=not check)
        except RuntimeError as error:
            if "ERROR: <input>" not in str(error):
                raise
            raise CompileError(_compiler_words(str(error))) from error
        return Expression(_type_name(compiled.return_type()) if check else "dyn", compiled)


@lru_cache(maxsize=64)
def any_values(*names: str) -> Environment:
    """An environment whose variables may be anything."""
    return Environment(dict.fromkeys(names))


def _type_name(kind: Any) -> str:
    name = str(kind.name()).lower()
    return {"null": "null_type"}.get(name, name)


def _compiler_words(text: str) -> str:
    text = re.sub(r"^[A-Z_]+: ", "", re.sub(r" \[[A-Z_]+\]$", "", text))
    text = re.sub(r"(undefined field '[^']*') not found in struct '[^']*'", r"\1", text)
    # A path that begins with an unknown name is told of by its first name.
    return re.sub(r"undeclared reference to '(\w+)\.[\w.]*'", r"undeclared reference to '\1'", text)


_EVALUATION = (
    (r'Key not found in map : "?(.*?)"?', r"no such key: \1"),
    (r"divide by zero", "division by zero"),
    (r"modulus by zero", "modulus by zero"),
    (r"Index error: index=(-?\d+) size=\d+", r"index out of bounds: \1"),
    (r"No matching overloads found : .*", "no such overload"),
    (r"Applying SELECT to non-message type", "no such overload"),
)


def _evaluation_words(text: str) -> str:
    text = re.sub(r"^[A-Z_]+: ", "", re.sub(r" \[[A-Z_]+\]$", "", text))
    for pattern, words in _EVALUATION:
        if re.fullmatch(pattern, text):
            return re.sub(f"^{pattern}$", words, text)
    return text
