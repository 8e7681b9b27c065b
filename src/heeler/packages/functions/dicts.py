"""sprig's functions of maps. `set`, `unset` and `merge` change the map they get, as sprig's do."""

from __future__ import annotations

from typing import Any, Final

from heeler.packages.functions.convert import is_empty, strval
from heeler.packages.template.values import Function, GoError, GoPanic, Slice, go, sorted_keys, type_name


def made(*pairs: Any) -> dict[str, Any]:
    """Keys and values in turn; a last key alone gets empty text."""
    result = {strval(key): value for key, value in zip(pairs[::2], pairs[1::2])}
    if len(pairs) % 2:
        result[strval(pairs[-1])] = ""
    return result


def changed(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    values[key] = value
    return values


def unset(values: dict[str, Any], key: str) -> dict[str, Any]:
    values.pop(key, None)
    return values


def plucked(key: str, *maps: dict[str, Any]) -> list[Any]:
    return [values[key] for values in maps if key in values]


def picked(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}


def omitted(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def keys(*maps: dict[str, Any]) -> Slice:
    """The keys of all maps. Go's order is random; here each map's keys are sorted."""
    return Slice("[]string", [key for values in maps for key in sorted_keys(values)])


def values_of(values: dict[str, Any]) -> list[Any]:
    return [values[key] for key in sorted_keys(values)]


def dug(*path: Any) -> Any:
    """What stands in a map (the last) below keys (the first ones), or the default (the last but one)."""
    if len(path) < 3:
        raise GoPanic("dig needs at least three arguments")
    values = _as_map(path[-1])
    names = [_as_text(name) for name in path[:-2]]
    for name in names[:-1]:
        if name not in values:
            return path[-2]
        values = _as_map(values[name])
    return values.get(names[-1], path[-2])


def _as_map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or type_name(value) != "map[string]interface {}":
        raise _conversion(value, "map[string]interface {}")
    return value


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _conversion(value, "string")
    return value


def _conversion(value: Any, wanted: str) -> GoError:
    found = "nil" if value is None else type_name(value)
    return GoPanic(f"interface conversion: interface {{}} is {found}, not {wanted}")


# ---- merging ---------------------------------------------------------------------------------------------------------

MOST_PAIRS: Final = 1_000_000
"""Pairs that one call looks at, shared maps counted each time they are met."""


def merged(target: dict[str, Any], *sources: dict[str, Any], overwrite: bool = False) -> dict[str, Any]:
    """Put into `target` what it lacks, from the first source that has it; `overwrite` lets later ones win."""
    budget = [MOST_PAIRS]
    try:
        for source in sources:
            _merge(target, source, overwrite, budget)
    except RecursionError:
        raise GoError("maps nest too deeply to be merged") from None
    return target


def _merge(target: dict[str, Any], source: dict[str, Any], overwrite: bool, budget: list[int]) -> None:
    budget[0] -= len(source)
    if budget[0] < 0:
        raise GoError("maps are too large to be merged")
    for key, value in source.items():
        present = target.get(key)
        if isinstance(value, dict) and isinstance(present, dict):
            _merge(present, value, overwrite, budget)
            if not present:
                target[key] = value
        elif overwrite or (value is not None and is_empty(present)):
            target[key] = value


FUNCTIONS: Final[list[Function]] = [
    go("dict(...interface {}) map[string]interface {}")(made),
    go("get(map[string]interface {}, string) interface {}")(lambda values, key: values.get(key, "")),
    go("set(map[string]interface {}, string, interface {}) map[string]interface {}")(changed),
    go("unset(map[string]interface {}, string) map[string]interface {}")(unset),
    go("hasKey(map[string]interface {}, string) bool")(lambda values, key: key in values),
    go("pluck(string, ...map[string]interface {}) []interface {}")(plucked),
    go("keys(...map[string]interface {}) []string")(keys),
    go("pick(map[string]interface {}, ...string) map[string]interface {}")(picked),
    go("omit(map[string]interface {}, ...string) map[string]interface {}")(omitted),
    go("values(map[string]interface {}) []interface {}")(values_of),
    go("dig(...interface {}) interface {}")(dug),
    go("merge(map[string]interface {}, ...map[string]interface {}) interface {}")(merged),
    go("mustMerge(map[string]interface {}, ...map[string]interface {}) interface {}")(merged),
    go("mergeOverwrite(map[string]interface {}, ...map[string]interface {}) interface {}")(
        lambda target, *sources: merged(target, *sources, overwrite=True)
    ),
    go("mustMergeOverwrite(map[string]interface {}, ...map[string]interface {}) interface {}")(
        lambda target, *sources: merged(target, *sources, overwrite=True)
    ),
]
