"""Rules in CEL that schemas carry (x-kubernetes-validations): compiled when defined, evaluated when objects are written.

What a rule may cost at worst is estimated when it is defined, what it does cost is counted when it is evaluated. Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions/#validation-rules ; KEP-2876.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from heeler.kinds.cel import costs
from heeler.kinds.cel.estimate import Estimate, cardinality
from heeler.kinds.cel.evaluation import EXCEEDED, Budget
from heeler.kinds.cel.expressions import CompileError, Environment, Expression, any_values
from heeler.kinds.cel.structures import Types, value_of
from heeler.kinds.cel.values import NOTHING, BudgetError, EvaluationError, Maybe
from heeler.kinds.custom.validation import UNRELATED, former_item
from heeler.objects import faults
from heeler.objects.faults import Fault
from heeler.objects.value import Object, Value

RULES = "x-kubernetes-validations"
#: After such faults no rule is evaluated: the object may not be what the rules are written for.
_BLOCKING = ("FieldValueRequired", "FieldValueTypeInvalid", "FieldValueNotSupported", "FieldValueTooLong")
BLOCKING = (*_BLOCKING, "FieldValueTooMany")
#: With a former value, or without one (`optionalOldSelf`).
_OPTIONAL = "cel.bind(oldSelf, hasOldSelf ? optional.of(formerSelf) : optional.none(), ({rule}\n))"
_MAX_MESSAGE = 5120


def present(schema: Object) -> bool:
    """Has the schema rules somewhere?"""
    return bool(schema.get(RULES)) or any(present(part) for _, part in _children(schema))


def _children(schema: Object) -> Iterator[tuple[str, Object]]:
    """The schemas of values inside of a value, with how paths name them."""
    for name, part in (schema.get("properties") or {}).items():
        yield f"properties[{name}]", part
    for key in ("additionalProperties", "items"):
        if isinstance(schema.get(key), dict):
            yield key, schema[key]


def names_old(text: str) -> bool:
    """Does the expression speak of the former value? (Texts in it do not count.)"""
    bare = re.sub(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", "''", text)
    return re.search(r"(?<![\w.])oldSelf\b", bare) is not None


# Definitions.

#: So many rules are named when all of a definition cost too much together, the most expensive first.
_NAMED = 4
_ALONE = ("estimated rule cost", "estimated messageExpression cost")


@dataclass(slots=True)
class _Costs:
    """What the rules of one schema are estimated at, all together and by the path of each."""

    total: int = 0
    rules: list[tuple[int, str]] = field(default_factory=list)

    def add(self, cost: int, path: str) -> None:
        self.total += cost
        if cost >= costs.ESTIMATED_TOTAL // 100:
            self.rules.append((cost, path))

    def faults(self, path: str) -> Iterator[Fault]:
        if self.total <= costs.ESTIMATED_TOTAL:
            return
        whole = "for entire OpenAPIv3 schema"
        for _, where in sorted(self.rules, key=lambda row: -row[0])[:_NAMED]:
            yield faults.forbidden(where, f"contributed to estimated rule cost total exceeding cost limit {whole}")
        name = f"x-kubernetes-validations estimated rule cost total {whole}"
        yield faults.forbidden(path, _exceeds(name, self.total, costs.ESTIMATED_TOTAL))


def _exceeds(name: str, cost: int, limit: int) -> str:
    factor = cost / limit
    words = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    hint = (
        "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are"
    )
    return f"{name} exceeds budget by factor of {words} ({hint} declared)"


def exceeds_alone(fault: Fault) -> bool:
    """Is it said of one rule that it may cost too much?"""
    return fault.message.startswith(tuple(f"Forbidden: {name} exceeds" for name in _ALONE))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a schema stands. `lost`: the list whose items cannot be told from former ones; `times`: how many values of it
    an object may hold, None if only the request's size limits that."""

    path: str
    root: bool = False
    lost: str = ""
    times: int | None = 1

    def below(self, key: str, schema: Object) -> _Place:
        alike = key != "items" or schema.get("x-kubernetes-list-type") == "map"
        limit = {"items": "maxItems", "additionalProperties": "maxProperties"}.get(key)
        most = 1 if limit is None else schema.get(limit)
        times = None if self.times is None or most is None else self.times * max(int(most), 0)
        return _Place(f"{self.path}.{key}", False, self.lost or ("" if alike else self.path), times)


def definition_faults(schema: Object, path: str) -> Iterator[Fault]:
    """What is wrong with the rules of a good schema (the whole of an object)."""
    known = _Costs()
    yield from _definition_faults(schema, _Place(path, root=True), known)
    yield from known.faults(path)


def _definition_faults(schema: Object, place: _Place, known: _Costs) -> Iterator[Fault]:
    rules = schema.get(RULES) or []
    if rules:
        try:
            environments = _environments(schema, place.root)
        except CompileError as error:
            yield faults.forbidden(f"{place.path}.{RULES}", str(error))
            return
        yield from _node_faults(schema, environments, place, known)
    for key, part in _children(schema):
        yield from _definition_faults(part, place.below(key, schema), known)


def _environments(schema: Object, root: bool) -> tuple[Environment, Environment]:
    """For rules on a value, and for those on an optional former one too."""
    from heeler.kinds.cel.runtime import runtime

    cel = runtime()

    types = Types()
    own = types.of(schema, root=root)
    pool = types.pool()
    plain = Environment({"self": own, "oldSelf": own}, pool)
    optional = Environment({"self": own, "formerSelf": own, "hasOldSelf": cel.Type.BOOL}, pool)
    return plain, optional


def _node_faults(
    schema: Object, environments: tuple[Environment, Environment], place: _Place, known: _Costs
) -> Iterator[Fault]:
    for at, rule in enumerate(schema[RULES]):
        text, words = rule.get("rule", ""), rule.get("messageExpression", "")
        where = f"{place.path}.{RULES}[{at}]"
        try:
            found = _compile(environments, rule, text)
            times = cardinality(schema, root=place.root) if place.times is None else place.times
            cost = Estimate(found.tree, schema, place.root).most() * times
            yield from _cost_faults(cost, f"{where}.rule", _ALONE[0], known)
            if found.returns not in ("bool", "dyn"):
                yield _shown(f"{where}.rule", rule, "cel expression must evaluate to a bool")
        except CompileError as error:
            yield _shown(f"{where}.rule", rule, f"compilation failed: {error}")
        if words:
            yield from _message_faults(schema, environments, rule, place.root, f"{where}.messageExpression", known)
        if names_old(text):
            if place.lost:
                detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {place.lost}"
                yield faults.invalid(f"{where}.rule", text, detail)
        elif (wanted := rule.get("optionalOldSelf")) is not None:
            yield faults.invalid(f"{where}.optionalOldSelf", wanted, "may not be set if oldSelf is not used in rule")


def _message_faults(
    schema: Object, environments: tuple[Environment, Environment], rule: Object, root: bool, path: str, known: _Costs
) -> Iterator[Fault]:
    try:
        found = _compile(environments, rule, rule["messageExpression"])
    except CompileError as error:
        yield _shown(path, rule, f"messageExpression compilation failed: {error}")
        return
    if found.returns not in ("string", "dyn"):
        yield _shown(path, rule, "messageExpression must evaluate to a string")
        return
    yield from _cost_faults(Estimate(found.tree, schema, root).most(), path, _ALONE[1], known)


def _cost_faults(cost: int, path: str, name: str, known: _Costs) -> Iterator[Fault]:
    known.add(cost, path)
    if cost > costs.ESTIMATED_RULE:
        yield faults.forbidden(path, _exceeds(name, cost, costs.ESTIMATED_RULE))


def _compile(environments: tuple[Environment, Environment], rule: Object, text: str) -> Expression:
    plain, optional = environments
    if rule.get("optionalOldSelf") and names_old(text):
        return optional.compile(_OPTIONAL.format(rule=text), bindings=True)
    return plain.compile(text)


def _shown(path: str, rule: Object, detail: str) -> Fault:
    """A fault that shows the whole rule, as Go writes it: with `<`, `>` and `&` escaped."""
    row = {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    text = orjson.dumps(row).decode()
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Fault("FieldValueInvalid", f"Invalid value: {text}: {detail}", path)


# Objects.


@dataclass(frozen=True, slots=True)
class _Written:
    """A value that was written and, if there was one, the value before it. `budget`: what is left for the object's rules."""

    value: Value
    old: Value
    changed: bool
    budget: Budget

    def inner(self, value: Value, before: Value) -> _Written:
        """What is inside of something unchanged is unchanged, though nobody can tell what it was before."""
        return _Written(value, before, self.changed and value != before, self.budget)


def object_faults(value: Object, old: Object | None, schema: Object) -> Iterator[Fault]:
    """The rules that the object breaks. `old` is the object before the write, None for a new one."""
    try:
        yield from _faults(_Written(value, old, old is None or value != old, Budget()), schema, "", True)
    except _Ended:
        return


class _Ended(Exception):
    """A rule cost too much: no more of them are evaluated."""


def not_evaluated() -> Fault:
    """Said when the rules were left out because of other faults."""
    words = "some validation rules were not checked because the object was invalid; correct the existing errors to "
    return Fault("FieldValueInvalid", f"Invalid value: null: {words}complete validation", "<nil>")


def _faults(written: _Written, schema: Object, path: str, root: bool) -> Iterator[Fault]:
    value, old = written.value, written.old
    if value is None:
        return
    rules = schema.get(RULES) or []
    if rules:
        variables = {"self": value_of(value, schema, root=root)}
        former = None if old is None else value_of(old, schema, root=root)
        for rule in rules:
            transition = names_old(rule.get("rule", ""))
            if transition and old is None and not rule.get("optionalOldSelf"):
                continue
            # What did not change is not held against a writer.
            if not transition and not written.changed:
                continue
            yield from _broken(rule, variables, former, written, schema, path)
    if isinstance(value, dict):
        yield from _inside_object(written, schema, path)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for at, item in enumerate(value):
            before = former_item(item, old, schema)
            yield from _faults(
                written.inner(item, None if before is UNRELATED else before), schema["items"], f"{path}[{at}]", False
            )


def _inside_object(written: _Written, schema: Object, path: str) -> Iterator[Fault]:
    value, old = written.value, written.old
    before = old if isinstance(old, dict) else {}
    known, more = schema.get("properties") or {}, schema.get("additionalProperties")
    # In the schema's order, then what else a map holds.
    for key in [*(k for k in known if k in value), *(k for k in value if k not in known)]:
        part = known.get(key, more)
        if isinstance(part, dict):
            here = f"{path}.{key}" if path else key
            here = here if key in known else f"{path}[{key}]"
            yield from _faults(written.inner(value[key], before.get(key)), part, here, False)


@lru_cache(maxsize=2048)
def _program(text: str) -> Expression:
    """An expression for the evaluation, where the values tell their types. Raises CompileError."""
    environment = any_values("self", "oldSelf")
    try:
        return environment.compile(text)
    except CompileError:
        return environment.compile(text, check=False)


def _evaluate(text: str, rule: Object, variables: dict[str, Any], former: Any, budget: Budget) -> Any:
    old = former
    if rule.get("optionalOldSelf"):
        old = NOTHING if former is None else Maybe(True, former)
    return _program(text).evaluate({**variables, "oldSelf": old}, budget)


def _error_words(error: Exception, rule: str) -> str:
    text = str(error)
    if isinstance(error, BudgetError):
        return text
    if text == "no such overload":
        words = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'{text}': {words}: {rule}"
    if text == EXCEEDED:
        return f"'{text}': no further validation rules will be run due to call cost exceeds limit for rule: {rule}"
    return f"{text} evaluating rule: {rule}"


def _broken(
    rule: Object, variables: dict[str, Any], former: Any, written: _Written, schema: Object, path: str
) -> Iterator[Fault]:
    text, said, value = rule.get("rule", "").strip(), rule.get("message", "").strip(), written.value
    where = _below(path, rule.get("fieldPath", ""))
    try:
        if _evaluate(text, rule, variables, former, written.budget) is True:
            return
    except (EvaluationError, CompileError) as error:
        yield faults.invalid(path or "<nil>", schema.get("type", ""), _error_words(error, said or text))
        if isinstance(error, BudgetError) or str(error) == EXCEEDED:
            raise _Ended from None
        return
    words = _message(rule, variables, former, written.budget) or said or f"failed rule: {text}"
    shown = "" if isinstance(value, (dict, list)) else f"{faults.shown(value)}"
    reason = rule.get("reason") or "FieldValueInvalid"
    texts = {
        "FieldValueInvalid": f"Invalid value: {shown}: {words}" if shown else f"Invalid value: {words}",
        "FieldValueRequired": f"Required value: {words}",
        "FieldValueForbidden": f"Forbidden: {words}",
        "FieldValueDuplicate": f"Duplicate value: {shown}" if shown else "Duplicate value",
    }
    yield Fault(reason, texts[reason], where or "<nil>")


def _below(path: str, field: str) -> str:
    """A path and a simple path (`.a['b c']`) from there on."""
    field = re.sub(r"\['([^']*)'\]", r"[\1]", field)
    return f"{path}{field}" if path else field.removeprefix(".")


def _message(rule: Object, variables: dict[str, Any], former: Any, budget: Budget) -> str:
    """What the message's expression gives; "" if it gives no single line."""
    text = rule.get("messageExpression", "").strip()
    if not text:
        return ""
    try:
        found = _evaluate(text, rule, variables, former, budget)
    except (EvaluationError, CompileError):
        return ""
    if not isinstance(found, str) or "\n" in found or len(found) > _MAX_MESSAGE:
        return ""
    return found.strip()
