"""Holding a value against a schema: a tree of faults, shown as Helm's library shows it.

A keyword's fault stands by itself; several faults of one schema make a group. `$ref` keeps the target's faults together,
`if` and `dependentSchemas` put them among the schema's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.schema.documents import Documents, Number

Location = tuple[str | int, ...]

GROUP, REFERENCE, PLAIN = "group", "reference", "plain"

MAX_DEPTH = 150
"""How deep schemas may lead into one another; deeper is a fault of the schema."""

_TYPE_ORDER = ("null", "boolean", "number", "integer", "string", "array", "object")


@dataclass(slots=True)
class Fault:
    location: Location
    message: str
    causes: list[Fault] = field(default_factory=list)
    kind: str = PLAIN


@dataclass(slots=True)
class Seen:
    """What has been looked at of an object or list, for `unevaluatedProperties` and `unevaluatedItems`."""

    names: set[str] = field(default_factory=set)
    items: set[int] = field(default_factory=set)

    def add(self, other: Seen) -> None:
        self.names |= other.names
        self.items |= other.items


# ---- showing ---------------------------------------------------------------------------------------------------------


def quote(text: str) -> str:
    from heeler.packages.template.formatting import quote as go_quote

    inner = go_quote(text)[1:-1].replace('\\"', '"').replace("\\\\", "\\").replace("'", "\\'")
    return f"'{inner}'"


def _pointer(location: Location) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in location)


def show(faults: list[Fault]) -> str:
    """The lines of all faults; a lone group at the top is its members."""
    while len(faults) == 1 and (
        faults[0].kind == GROUP or (faults[0].kind == REFERENCE and len(faults[0].causes) == 1)
    ):
        faults = faults[0].causes
    return "".join(line + "\n" for fault in faults for line in _lines(fault, 0))


def _lines(fault: Fault, depth: int) -> Iterator[str]:
    while fault.kind != PLAIN and len(fault.causes) == 1:
        fault = fault.causes[0]
    causes = fault.causes
    yield f"{'  ' * depth}- at {quote(_pointer(fault.location))}: {fault.message}"
    for cause in causes:
        yield from _lines(cause, depth + 1)


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number_text(number: float) -> str:
    """A number as the library prints it: thousands parted by commas, large and small ones with a power of ten."""
    text = repr(float(number))
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    digits = (whole + part).lstrip("0") or "0"
    leading = len(whole + part) - len((whole + part).lstrip("0"))
    power = int(exponent or 0) + len(whole) - 1 - (leading if digits != "0" else 0)
    digits = digits.rstrip("0") or "0"
    if digits == "0":
        return sign + "0"
    if power < -4 or power >= 6:
        shown = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        return f"{sign}{shown}×10" + f"{'-' if power < 0 else ''}{abs(power):02d}".translate(_SUPERSCRIPT)
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    digits = digits.ljust(power + 1, "0")
    whole, part = digits[: power + 1], digits[power + 1 :]
    return f"{sign}{int(whole):,}{f'.{part}' if part else ''}"


def exact(value: Any) -> Fraction:
    """A number's value: of a schema's as it is written, of a value's as JSON writes it."""
    text = value.text if isinstance(value, Number) else repr(value)
    exponent = text.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > 400:
        raise ChartError(f"number {text} is out of range")
    return Fraction(text)


def _float(value: Any) -> float:
    return float(value.text) if isinstance(value, Number) else float(value)


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "number"


def same(value: Any) -> Any:
    """Something that is equal for equal JSON values, and can be a key."""
    match kind_of(value):
        case "number":
            return "n", exact(value)
        case "array":
            return "l", tuple(same(item) for item in value)
        case "object":
            return "d", frozenset((key, same(item)) for key, item in value.items())
        case kind:
            return kind, value


def _constant(value: Any) -> str | None:
    """A scalar as messages show it; None for lists and objects."""
    match value:
        case Number():
            return value.text
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value)
        case int() | float():
            return repr(value)
        case _:
            return None


# ---- evaluating ------------------------------------------------------------------------------------------------------


class Evaluation:
    """One value against one schema. `metaschema`: formats count whatever the draft."""

    def __init__(self, documents: Documents, *, metaschema: bool = False) -> None:
        self.documents = documents
        self.metaschema = metaschema
        self._patterns: dict[str, Any] = {}
        self._depth = 0
        self._scope: list[str] = []
        self.under_way: set[tuple[int, int]] = set()

    def check(self, schema: Any, value: Any) -> list[Fault]:
        try:
            return self.faults(schema, value, ())[0]
        except RecursionError:
            raise ChartError("the schema leads into itself too deeply") from None

    def faults(self, schema: Any, value: Any, at: Location) -> tuple[list[Fault], Seen]:
        """(what is wrong with `value`, what was looked at of it)."""
        if schema is True:
            return [], Seen()
        if schema is False:
            return [Fault(at, "false schema")], Seen()
        if not isinstance(schema, dict) or not schema:
            return [], Seen()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ChartError("the schema leads into itself too deeply")
        self._scope.append(self.documents.base(schema))
        mark = (id(schema), id(value))
        fresh = mark not in self.under_way
        self.under_way.add(mark)
        try:
            seen = Seen()
            return _One(self, schema, value, at, seen).all(), seen
        finally:
            self._scope.pop()
            self._depth -= 1
            if fresh:
                self.under_way.discard(mark)

    def one(self, schema: Any, value: Any, at: Location, seen: Seen | None = None) -> Fault | None:
        """The fault of a whole subschema: its only one, or a group of several."""
        faults, looked_at = self.faults(schema, value, at)
        if not faults:
            if seen is not None:
                seen.add(looked_at)
            return None
        return faults[0] if len(faults) == 1 else Fault(at, "validation failed", faults, GROUP)

    def pattern(self, text: str) -> Any:
        if text not in self._patterns:
            from heeler.packages.charts.schema.formats import compile_pattern

            self._patterns[text] = compile_pattern(text)
        return self._patterns[text]

    def dynamic(self, schema: Any, reference: str) -> Any:
        """What `$dynamicRef` means: the outermost schema on the way here with that anchor."""
        found = self.documents.resolve(schema, reference)
        name = reference.partition("#")[2]
        if isinstance(found, dict) and found.get("$dynamicAnchor") == name and name:
            for base in self._scope:
                if (base, name) in self.documents.dynamic:
                    return self.documents.dynamic[base, name]
        return found

    def recursive(self, schema: Any) -> Any:
        """What `$recursiveRef` means: the outermost root on the way here that allows it."""
        found = self.documents.resolve(schema, "#")
        if isinstance(found, dict) and found.get("$recursiveAnchor") is True:
            for base in self._scope:
                root = self.documents.resources.get(base)
                if isinstance(root, dict) and root.get("$recursiveAnchor") is True:
                    return root
        return found


class _One:
    """The keywords of one schema, in the library's order."""

    def __init__(self, run: Evaluation, schema: dict[str, Any], value: Any, at: Location, seen: Seen) -> None:
        self.run, self.schema, self.value, self.at, self.seen = run, schema, value, at, seen
        self.draft = run.documents.draft(schema)
        self.found: list[Fault] = []

    def add(self, message: str, causes: list[Fault] | None = None, kind: str = PLAIN) -> None:
        self.found.append(Fault(self.at, message, causes or [], kind))

    def among(self, fault: Fault | None) -> None:
        """Put a subschema's faults among this schema's own."""
        if fault is not None:
            self.found += fault.causes if fault.kind == GROUP and fault.location == self.at else [fault]

    def all(self) -> list[Fault]:
        schema, value = self.schema, self.value
        reference = schema.get("$ref")
        if self.draft <= 7 and isinstance(
            reference, str
        ):  # what else stands beside it counts for nothing, but for `const`
            if "const" in schema and self.draft >= 6 and same(schema["const"]) != same(value):
                self.constants()
                return self.found
            self.follow(reference, "$ref")
            return self.found
        if (fault := self.type()) is not None:
            return [fault]
        self.constants()
        if self.found:
            return self.found
        self.format()
        if isinstance(reference, str):
            self.follow(reference, "$ref")
        if self.draft == 2019 and isinstance(schema.get("$recursiveRef"), str):
            self.target(self.run.recursive(schema))
        if self.draft >= 2020 and isinstance(dynamic := schema.get("$dynamicRef"), str):
            self.target(self.run.dynamic(schema, dynamic))
        match kind_of(value):
            case "object":
                self.object()
            case "array":
                self.array()
            case "string":
                self.string()
            case "number":
                self.number()
        self.combined()
        if self.draft >= 2019:
            self.unevaluated()
        return self.found

    # -- references

    def follow(self, reference: str, keyword: str) -> None:
        target = self.run.documents.resolve(self.schema, reference)
        if (id(target), id(self.value)) in self.run.under_way and isinstance(target, dict):
            where = urlpath(self.run.documents, target)
            self.add(f'both {where[1]}/$ref and {where[1]} resolve to "{where[0]}#{where[1]}" causing reference cycle')
            return
        self.target(target)

    def target(self, schema: Any) -> None:
        fault = self.run.one(schema, self.value, self.at, self.seen)
        if fault is not None:
            causes = fault.causes if fault.kind == GROUP else [fault]
            self.add("validation failed", causes, REFERENCE)

    # -- any value

    def type(self) -> Fault | None:
        wanted = self.schema.get("type")
        if wanted is None:
            return None
        types = {wanted} if isinstance(wanted, str) else set(wanted)
        got = kind_of(self.value)
        if got in types or (got == "number" and "integer" in types and exact(self.value).denominator == 1):
            return None
        shown = " or ".join(name for name in _TYPE_ORDER if name in types)
        return Fault(self.at, f"got {got}, want {shown}")

    def constants(self) -> None:
        schema = self.schema
        if "const" in schema and self.draft >= 6 and same(schema["const"]) != same(self.value):
            shown = _constant(schema["const"])
            self.add("'const' failed" if shown is None else f"value must be {shown}")
        elif isinstance(allowed := schema.get("enum"), list):
            if same(self.value) not in {same(item) for item in allowed}:
                constants = [text for item in allowed if (text := _constant(item)) is not None]
                if len(constants) != len(allowed) or not constants:
                    self.add("'enum' failed")
                else:
                    self.add(f"value must be {'one of ' if len(constants) > 1 else ''}{', '.join(constants)}")

    def format(self) -> None:
        name = self.schema.get("format")
        if isinstance(name, str) and isinstance(self.value, str) and (self.draft <= 7 or self.run.metaschema):
            from heeler.packages.charts.schema.formats import fault_of

            if fault := fault_of(name, self.value):
                self.add(f"{quote(self.value)} is not valid {name}: {fault}")

    # -- objects

    def object(self) -> None:
        schema, value = self.schema, self.value
        self.count("minProperties", len(value), at_least=True)
        self.count("maxProperties", len(value), at_least=False)
        if isinstance(required := schema.get("required"), list):
            if missing := [name for name in required if name not in value]:
                noun = "property" if len(missing) == 1 else "properties"
                self.add(f"missing {noun} {', '.join(map(quote, missing))}")
        if self.draft >= 2019 and isinstance(dependent := schema.get("dependentRequired"), dict):
            for name, needed in dependent.items():
                self.needed(name, needed)
        if self.draft <= 7 and isinstance(dependent := schema.get("dependencies"), dict):
            for name, needed in dependent.items():
                if isinstance(needed, list):
                    self.needed(name, needed)
        self.properties()
        if self.draft >= 6 and (names := schema.get("propertyNames")) is not None:
            for name in value:
                if (fault := self.run.one(names, name, ())) is not None:
                    self.add(f"invalid propertyName {quote(name)}", [fault])
        for keyword in ("dependentSchemas",) if self.draft >= 2019 else ("dependencies",):
            if isinstance(dependent := schema.get(keyword), dict):
                for name, inner in dependent.items():
                    if name in value and not isinstance(inner, list):
                        self.among(self.run.one(inner, value, self.at, self.seen))

    def needed(self, name: str, needed: list[str]) -> None:
        if name in self.value and (missing := [other for other in needed if other not in self.value]):
            self.add(f"properties {', '.join(map(quote, missing))} required, if {quote(name)} exists")

    def properties(self) -> None:
        schema, value = self.schema, self.value
        named = schema.get("properties") or {}
        patterns = [(self.run.pattern(text), inner) for text, inner in (schema.get("patternProperties") or {}).items()]
        others = schema.get("additionalProperties")
        extra: list[str] = []
        for name in sorted(value):
            inner_at = (*self.at, name)
            known = name in named
            if known:
                self.among(self.run.one(named[name], value[name], inner_at))
            for pattern, inner in patterns:
                if pattern.search(name):
                    known = True
                    self.among(self.run.one(inner, value[name], inner_at))
            if not known and others is not None:
                known = True
                if others is False:
                    extra.append(name)
                elif others is not True:
                    self.among(self.run.one(others, value[name], inner_at))
            if known:
                self.seen.names.add(name)
        if extra:
            ordered = [name for name in value if name in set(extra)]
            self.add(f"additional properties {', '.join(map(quote, ordered))} not allowed")

    # -- lists

    def array(self) -> None:
        value = self.value
        self.count("minItems", len(value), at_least=True)
        self.count("maxItems", len(value), at_least=False)
        if self.schema.get("uniqueItems") is True and (pair := _equal(value)) is not None:
            self.add(f"items at {pair[0]} and {pair[1]} are equal")
        self.items()
        if self.draft >= 6 and (contains := self.schema.get("contains")) is not None:
            self.contains(contains)

    def items(self) -> None:
        schema, value = self.schema, self.value
        items = schema.get("items")
        if self.draft >= 2020:
            first, rest = schema.get("prefixItems") or [], items
        elif isinstance(items, list):
            first, rest = items, schema.get("additionalItems")
        else:
            first, rest = [], items
        for place, item in enumerate(value):
            if place < len(first):
                self.among(self.run.one(first[place], item, (*self.at, place)))
            elif rest is None:
                break
            elif rest is False and self.draft < 2020 and isinstance(items, list):
                self.add(f"last {len(value) - place} additionalItem(s) not allowed")
                break
            else:
                self.among(self.run.one(rest, item, (*self.at, place)))
        self.seen.items |= set(range(len(value) if rest is not None else min(len(first), len(value))))

    def contains(self, contains: Any) -> None:
        matched, causes = [], []
        for place, item in enumerate(self.value):
            fault = self.run.one(contains, item, (*self.at, place))
            if fault is None:
                matched.append(place)
            else:
                causes.append(fault)
        if self.draft >= 2020:
            self.seen.items |= set(matched)
        shown = " ".join(map(str, matched))
        least = self.schema.get("minContains") if self.draft >= 2019 else None
        most = self.schema.get("maxContains") if self.draft >= 2019 else None
        if least is not None:
            if len(matched) < int(_float(least)):
                said = f"matched {len(matched)} items at {shown}" if matched else "none matched"
                number = number_text(_float(least))
                self.add(f"min {number} items required to match contains schema, but {said}", causes)
        elif not matched:
            self.add("no items match contains schema", causes)
        if most is not None and len(matched) > int(_float(most)):
            number = number_text(_float(most))
            said = f"matched {len(matched)} items at {shown}"
            self.add(f"max {number} items required to match contains schema, but {said}")

    # -- text and numbers

    def string(self) -> None:
        length = len(self.value)
        self.count("minLength", length, at_least=True)
        self.count("maxLength", length, at_least=False)
        if isinstance(pattern := self.schema.get("pattern"), str) and not self.run.pattern(pattern).search(self.value):
            self.add(f"{quote(self.value)} does not match pattern {quote(pattern)}")

    def count(self, keyword: str, got: int, *, at_least: bool) -> None:
        limit = self.schema.get(keyword)
        if limit is not None:
            want = int(_float(limit))
            if got < want if at_least else got > want:
                self.add(f"{keyword}: got {got:,}, want {want:,}")

    def number(self) -> None:
        schema, value = self.schema, exact(self.value)
        got = number_text(_float(self.value))
        strict_low, strict_high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        low, high = schema.get("minimum"), schema.get("maximum")
        if self.draft == 4:  # there the strict forms are switches
            strict_low, low = (low, None) if strict_low is True else (None, low)
            strict_high, high = (high, None) if strict_high is True else (None, high)
        for keyword, limit in (
            ("minimum", low),
            ("maximum", high),
            ("exclusiveMinimum", strict_low),
            ("exclusiveMaximum", strict_high),
            ("multipleOf", schema.get("multipleOf")),
        ):
            if limit is not None and _OUTSIDE[keyword](value, exact(limit)):
                self.add(f"{keyword}: got {got}, want {number_text(_float(limit))}")

    # -- schemas of schemas

    def combined(self) -> None:
        schema, run = self.schema, self.run
        if (inner := schema.get("not")) is not None and run.one(inner, self.value, self.at) is None:
            self.add("'not' failed")
        if isinstance(inners := schema.get("allOf"), list):
            faults = [run.one(inner, self.value, self.at, self.seen) for inner in inners]
            if causes := [fault for fault in faults if fault is not None]:
                self.add("'allOf' failed", causes)
        if isinstance(inners := schema.get("anyOf"), list):
            faults = [run.one(inner, self.value, self.at, self.seen) for inner in inners]
            if None not in faults:
                self.add("'anyOf' failed", [fault for fault in faults if fault is not None])
        if isinstance(inners := schema.get("oneOf"), list):
            self.one_of(inners)
        if self.draft >= 7 and (condition := schema.get("if")) is not None:
            branch = "then" if run.one(condition, self.value, self.at, self.seen) is None else "else"
            if (inner := schema.get(branch)) is not None:
                self.among(run.one(inner, self.value, self.at, self.seen))

    def one_of(self, inners: list[Any]) -> None:
        faults = [self.run.one(inner, self.value, self.at, self.seen) for inner in inners]
        matched = [place for place, fault in enumerate(faults) if fault is None]
        if not matched:
            self.add("'oneOf' failed, none matched", [fault for fault in faults if fault is not None])
        elif len(matched) > 1:
            self.add(f"'oneOf' failed, subschemas {matched[0]}, {matched[1]} matched")

    def unevaluated(self) -> None:
        if (inner := self.schema.get("unevaluatedProperties")) is not None and isinstance(self.value, dict):
            for name in sorted(self.value):
                if name not in self.seen.names:
                    self.among(self.run.one(inner, self.value[name], (*self.at, name)))
            self.seen.names |= set(self.value)
        if (inner := self.schema.get("unevaluatedItems")) is not None and isinstance(self.value, list):
            for place, item in enumerate(self.value):
                if place not in self.seen.items:
                    self.among(self.run.one(inner, item, (*self.at, place)))
            self.seen.items |= set(range(len(self.value)))


_OUTSIDE: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "minimum": lambda value, limit: value < limit,
    "maximum": lambda value, limit: value > limit,
    "exclusiveMinimum": lambda value, limit: value <= limit,
    "exclusiveMaximum": lambda value, limit: value >= limit,
    "multipleOf": lambda value, limit: limit != 0 and (value / limit).denominator != 1,
}


def _equal(items: list[Any]) -> tuple[int, int] | None:
    """The first two places that hold the same."""
    places: dict[Any, int] = {}
    for place, item in enumerate(items):
        key = same(item)
        if key in places:
            return places[key], place
        places[key] = place
    return None


def urlpath(documents: Documents, schema: Any) -> tuple[str, str]:
    """(the document, the JSON pointer) of a schema."""
    base = documents.base(schema)
    stack: list[tuple[Any, str]] = [(documents.resources.get(base), "")]
    while stack:
        here, path = stack.pop()
        if here is schema:
            return base, path
        pairs = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        stack += [(item, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}") for key, item in pairs]
    return base, ""
