"""The library that speaks CEL, loaded at its first use: it is large, and not to be had for every machine."""

from __future__ import annotations

from typing import Any


def runtime() -> Any:
    """The module `cel_expr_python.cel`. Raises CompileError where it isn't installed: no expression can be used there."""
    try:
        from cel_expr_python import cel
    except ImportError:
        from heeler.kinds.cel.expressions import CompileError

        raise CompileError("this machine has no CEL (the Python package cel-expr-python)") from None
    return cel
