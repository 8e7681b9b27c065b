"""What evaluating an expression costs, counted while it runs, and the limits.

A unit is about what it takes to read a variable. `call_cost` is asked after a call, with the values that it was given.
What an expression may come to at worst is estimated by `estimate.py` before it ever runs, by the same rules.
Source: https://kubernetes.io/docs/reference/using-api/cel/#resource-constraints and the recorded limits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from heeler.kinds.cel.values import size

#: One evaluation of one expression.
PER_CALL = 1_000_000
#: All expressions of one policy (or of all rules on one object) for one request.
RUNTIME_BUDGET = 10_000_000
#: The match conditions of one webhook or policy, a quarter of that.
MATCH_CONDITIONS_BUDGET = RUNTIME_BUDGET // 4
#: What a rule of a definition may be estimated at, and all rules of one definition together.
ESTIMATED_RULE, ESTIMATED_TOTAL = 10_000_000, 100_000_000

SELECT, LIST, MAP, STRUCT = 1, 10, 30, 40
#: For each character that is looked at, and for each that a regular expression has.
PER_CHARACTER, PER_PATTERN_CHARACTER = 0.1, 0.25
#: A question to the authorizer.
CHECK = 350_000
#: A requirement of a selector: a list and a struct for every second character.
PER_REQUIREMENT, REQUIREMENTS_PER_CHARACTER = LIST + STRUCT, 0.5


def characters(count: float) -> int:
    return math.ceil(count * PER_CHARACTER)


def pattern(text: float, of: float) -> int:
    """Matching a text against a regular expression, both told by their lengths."""
    return characters(text + 1) * math.ceil(of * PER_PATTERN_CHARACTER)


def selector(length: int) -> int:
    """Parsing a label or field selector."""
    return LIST + characters(length) + math.ceil(math.ceil(length * REQUIREMENTS_PER_CHARACTER) * PER_REQUIREMENT)


_Values = Sequence[Any]


def _traversal(given: _Values, result: Any) -> int:
    return characters(size(given[0]))


def _twice(given: _Values, result: Any) -> int:
    return characters(2 * size(given[0]))


def _elements(given: _Values, result: Any) -> int:
    return _whole(given[0])


def _whole(value: Any) -> int:
    """Looking at all of a value; what texts leave of a unit is not counted here."""
    if isinstance(value, (str, bytes)):
        return int(len(value) * PER_CHARACTER)
    if isinstance(value, list):
        return sum(map(_whole, value))
    if isinstance(value, dict):
        return sum(_whole(key) + _whole(item) for key, item in value.items())
    return 1


def _self_compared(given: _Values, result: Any) -> int:
    """Each item of a list is compared with each other."""
    whole = given[0]
    factor = 2 + (PER_CHARACTER if whole and isinstance(whole[0], (str, bytes)) else 0)
    return 1 + LIST + math.ceil(len(whole) ** 2 * factor)


def _shorter(given: _Values, result: Any) -> int:
    return characters(min(size(given[0]), size(given[1])))


def _sum(given: _Values, result: Any) -> int:
    if isinstance(result, (str, bytes)):
        return characters(size(given[0]) + size(given[1]))
    return 1


def _pattern(given: _Values, result: Any) -> int:
    return pattern(size(given[0]), size(given[1]))


def _range(given: _Values, result: Any) -> int:
    """An address range and what may be inside of it."""
    return characters(2 * size(given[0])) + (characters(size(given[1])) if isinstance(given[1], str) else 0)


_RULES: dict[str, Callable[[_Values, Any], int]] = {
    "check": lambda given, result: CHECK,
    "fieldSelector": lambda given, result: selector(size(given[1])),
    "labelSelector": lambda given, result: selector(size(given[1])),
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _elements),
    **dict.fromkeys(("url", "lowerAscii", "upperAscii", "substring", "trim", "jsonpatch.escapeKey"), _traversal),
    **dict.fromkeys(("cidr", "isIP", "isCIDR", "quantity", "isQuantity", "semver", "isSemver"), _traversal),
    **dict.fromkeys(("slice", "reverse", "lists.range"), lambda given, result: 1 + LIST + size(result)),
    "flatten": lambda given, result: 1 + LIST + size(given[0]) * (given[1] if len(given) > 1 else 1),
    **dict.fromkeys(("distinct", "sort", "__sorted"), _self_compared),
    **dict.fromkeys(("sets.contains", "sets.intersects"), lambda given, result: 1 + size(given[0]) * size(given[1])),
    "sets.equivalent": lambda given, result: 1 + 2 * size(given[0]) * size(given[1]),
    "ip": lambda given, result: characters(size(given[0])) if isinstance(given[0], str) else 1,
    **dict.fromkeys(("replace", "split", "ip.isCanonical"), _twice),
    "join": lambda given, result: characters(2 * size(result)),
    **dict.fromkeys(("find", "findAll", "matches"), _pattern),
    "containsIP": _range,
    "containsCIDR": lambda given, result: _range(given, result) + characters(size(given[0])) + 1,
    "validate": lambda given, result: pattern(size(given[1]), given[0].pattern_size),
    "startsWith": lambda given, result: characters(size(given[1])),
    "endsWith": lambda given, result: characters(size(given[1])),
    "contains": lambda given, result: characters(size(given[0])) * characters(size(given[1])),
    "@in": lambda given, result: size(given[1]) if isinstance(given[1], list) else 1,
    **dict.fromkeys(("_==_", "_!=_"), _shorter),
    **dict.fromkeys(
        ("_<_", "_<=_", "_>_", "_>=_"),
        lambda given, result: _shorter(given, result) if isinstance(given[0], (str, bytes)) else 1,
    ),
    "_+_": _sum,
}


def call_cost(function: str) -> Callable[[_Values, Any], int] | None:
    """What a call costs, from its arguments and its result; None: always 1."""
    return _RULES.get(function)
