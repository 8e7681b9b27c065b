"""Compile and evaluate CEL expressions; faults in the words of Kubernetes' compiler.

Parsing and checking of types is the reference implementation's (cel-expr-python); its tree (`checked.py`) is evaluated here
(`evaluation.py`), since that implementation counts no costs and knows no more functions than it was built with. The
functions that Kubernetes adds are `library.py`'s.
Source: https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from heeler.kinds.cel import compiler_words, literals, two_variables
from heeler.kinds.cel.checked import Struct, Tree, decode, walk
from heeler.kinds.cel.evaluation import Budget, Program
from heeler.kinds.cel.library import declarations, descriptors, extensions, functions, standard

#: Characters of one expression; upstream limits the cost, which mostly refuses such texts too.
MAX_TEXT = 64 * 1024


#: What the compiler says of no text at all.
NOTHING = (
    "ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', "
    "'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


class CompileError(ValueError):
    """The text is no expression, or its types don't fit; the words are those of the compiler ("ERROR: <input>:1:8…")."""


class Expression:
    """A compiled expression."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._program: Program | None = None

    @property
    def returns(self) -> str:
        """The type's name: "bool", "string", "list(int)", … or "dyn" if only the evaluation tells."""
        return str(self.tree.type(self.tree.root))

    def evaluate(self, variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        """The value (`heeler.kinds.cel.values`). Raises EvaluationError, and BudgetError beyond what `budget` has left."""
        if self._program is None:
            self._program = Program(self.tree, functions())
        return self._program.run(variables, budget)


class Environment:
    """Variables with their types, and the functions that Kubernetes adds."""

    def __init__(
        self,
        variables: Mapping[str, Any] | None = None,
        pool: Any = None,
        *,
        patches: bool = False,
        lenient: bool = False,
    ) -> None:
        """`variables`: names and `cel.Type`s (any value if None); `pool`: descriptors of message types named there.

        `patches`: with the functions for JSON patches; `lenient`: literals are not looked at (`literals.py`).
        """
        self._lenient = lenient
        from heeler.kinds.cel.runtime import runtime

        cel = runtime()
        kinds = {name: kind or cel.Type.DYN for name, kind in (variables or {}).items()}
        self._made: dict[bool, Any] = {}

        def make(bindings: bool) -> Any:
            return cel.NewEnv(
                pool or descriptors(),
                config=standard(),
                variables=kinds,
                extensions=extensions(bindings),
                functions=declarations(patches),
            )

        self._make = make

    def _compiler(self, bindings: bool) -> Any:
        if bindings not in self._made:
            self._made[bindings] = self._make(bindings)
        return self._made[bindings]

    def compile(self, text: str, *, check: bool = True, bindings: bool = False) -> Expression:
        """Raises CompileError. `check=False` leaves types to the evaluation; `bindings`: the text may use `cel.bind`."""
        if len(text) > MAX_TEXT:
            raise CompileError(f"ERROR: <input>:1:1: expression is longer than {MAX_TEXT} characters")
        if not text:
            raise CompileError(NOTHING)
        shown = two_variables.shown(text)
        try:
            compiler = self._compiler(bindings or shown.text != text)
            compiled = compiler.compile(shown.text, disable_check=not check)
        except RuntimeError as error:
            if "recursion limit exceeded" in str(error):
                raise CompileError("ERROR: <input>:1:1: expression is nested too deeply") from None
            if "ERROR: <input>" not in str(error):
                raise
            raise CompileError(compiler_words.told(str(error), shown)) from error
        try:
            tree = decode(compiled.serialize())
            two_variables.restore(tree)
            _place_objects(tree, shown.text)
        except (ValueError, RecursionError):
            raise CompileError("ERROR: <input>:1:1: expression is nested too deeply") from None
        if check and not self._lenient and (found := sorted(literals.problems(tree))):
            words = "\n".join(shown.error(place, what) for place, what in found)
            raise CompileError(words)
        return Expression(tree)


def _place_objects(tree: Tree, text: str) -> None:
    """Objects stand where their fields begin, as errors tell of them."""
    for node in walk(tree.root):
        if isinstance(node, Struct) and node.message and node.id in tree.positions:
            tree.positions[node.id] = max(text.find("{", tree.positions[node.id]), 0)


@lru_cache(maxsize=64)
def any_values(*names: str) -> Environment:
    """An environment whose variables may be anything."""
    return Environment(dict.fromkeys(names), lenient=True)
