"""The functions that Helm's templates may call: sprig's and Helm's own, a file an area.

`FUNCTIONS` has them by name, but for those of text/template itself and those that need the engine (`include`, `tpl`,
`required`, `fail`, `lookup`). Libraries that cost (RE2, cryptography, time zones) are loaded when a function first needs them.
"""

from __future__ import annotations

from typing import Final

from heeler.packages.functions import (
    crypto,
    dates,
    dicts,
    encoding,
    helm,
    lists,
    math,
    regex,
    strings,
    types,
    versions,
)
from heeler.packages.template.values import Function

AREAS: Final = (strings, math, lists, dicts, types, encoding, regex, versions, dates, crypto, helm)

FUNCTIONS: Final[dict[str, Function]] = {function.name: function for area in AREAS for function in area.FUNCTIONS}
