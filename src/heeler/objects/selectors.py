"""Label and field selectors: their text forms, the `LabelSelector` object, and what they match.

Grammar and rules: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and
https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/. Which fields a kind can be selected
by is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from heeler.objects import faults
from heeler.objects.value import Object

QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
INTEGER = re.compile(r"[+-]?[0-9]+")

NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
QUALIFIED_NAME = (
    "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
)
PREFIX_PART = (
    "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


class Requirement(NamedTuple):
    """`operator` is one of in, notin, =, ==, !=, exists, !, gt, lt; `values` are sorted and without repetition."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in" | "=" | "==":
                return value is not None and value in self.values
            case "notin" | "!=":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not _is_int64(value):
            return False
        return int(value) > int(self.values[0]) if self.operator == "gt" else int(value) < int(self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "!":
                return f"!{self.key}"
            case "exists":
                return self.key
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


class LabelSelector(NamedTuple):
    """Matches labels that meet every requirement; `nothing` matches none at all."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        labels = labels or {}
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def everything(self) -> bool:
        return not self.nothing and not self.requirements

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


class FieldTerm(NamedTuple):
    """`operator` is "=" or "!="."""

    field: str
    operator: str
    value: str


class FieldSelector(NamedTuple):
    terms: tuple[FieldTerm, ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """`fields` holds text by field name; what is missing counts as empty."""
        return all((fields.get(t.field, "") == t.value) == (t.operator == "=") for t in self.terms)

    @property
    def everything(self) -> bool:
        return not self.terms

    def exact(self, field: str) -> str | None:
        """The value that `field` must have, if the selector says so."""
        return next((t.value for t in self.terms if t.field == field and t.operator == "="), None)

    def __str__(self) -> str:
        return ",".join(f"{t.field}{t.operator}{escape_field_value(t.value)}" for t in self.terms)


# --- label selectors, text form ---------------------------------------------------------------------------------


SYMBOLS = {")", ",", "!", "==", "=", ">", "(", "!=", "<"}
SPECIAL = "=!(),><"
OPERATORS = {"=": "=", "==": "==", "!=": "!=", "in": "in", "notin": "notin", ">": "gt", "<": "lt"}
OPERATOR_NAMES = "in, notin, =, ==, !=, gt, lt"


class _Token(NamedTuple):
    kind: str  # "identifier", "end" or the symbol itself ("in" and "notin" too)
    text: str


def _scan(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char in " \t\r\n":
            at += 1
        elif char in SPECIAL:
            size = 2 if text[at : at + 2] in SYMBOLS else 1
            tokens.append(_Token(text[at : at + size], text[at : at + size]))
            at += size
        else:
            start = at
            while at < len(text) and text[at] not in SPECIAL and text[at] not in " \t\r\n":
                at += 1
            word = text[start:at]
            tokens.append(_Token(word if word in ("in", "notin") else "identifier", word))
    tokens.append(_Token("end", ""))
    return tokens


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = _scan(text)
        self._at = 0

    def _peek(self) -> _Token:
        token = self._tokens[self._at]
        return _Token("identifier", token.text) if token.kind in ("in", "notin") else token

    def _next(self) -> _Token:
        token = self._peek()
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def parse(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            token = self._peek()
            if token.kind == "end":
                return found
            if token.kind not in ("identifier", "!"):
                raise ValueError(f"found '{token.text}', expected: !, identifier, or 'end of string'")
            try:
                found.append(self._requirement())
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            token = self._next()
            if token.kind == "end":
                return found
            if token.kind != ",":
                raise ValueError(f"found '{token.text}', expected: ',' or 'end of string'")
            after = self._peek()
            if after.kind not in ("identifier", "!"):
                raise ValueError(f"found '{after.text}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        token = self._next()
        absent = token.kind == "!"
        if absent:
            token = self._next()
        if token.kind != "identifier":
            raise ValueError(f"found '{token.text}', expected: identifier")
        key = token.text
        _check(_key_faults(key, "key"))
        if absent:
            return requirement(key, "!", ())
        if self._peek().kind in ("end", ","):
            return requirement(key, "exists", ())
        word = self._tokens[self._at]
        self._next()
        operator = OPERATORS.get(word.text) if word.kind != "identifier" else None
        if operator is None:
            raise ValueError(f"found '{word.text}', expected: {OPERATOR_NAMES}")
        values = self._values() if operator in ("in", "notin") else [self._exact_value()]
        return requirement(key, operator, values)

    def _exact_value(self) -> str:
        if self._peek().kind in ("end", ","):
            return ""
        token = self._next()
        if token.kind != "identifier":
            raise ValueError(f"found '{token.text}', expected: identifier")
        return token.text

    def _values(self) -> list[str]:
        token = self._next()
        if token.kind != "(":
            raise ValueError(f"found '{token.text}' expected: '('")
        token = self._peek()
        if token.kind == ")":
            self._next()
            return [""]
        if token.kind not in ("identifier", ","):
            raise ValueError(f"found '{token.text}', expected: ',', ')' or identifier")
        values: list[str] = []
        while True:
            token = self._next()
            after = self._peek()
            if token.kind == "identifier":
                values.append(token.text)
                if after.kind not in (",", ")"):
                    raise ValueError(f"found '{after.text}', expected: ',' or ')'")
            elif token.kind == ",":
                # An empty place counts as the empty value: "(,a)", "(a,,b)", "(a,)".
                if not values or after.kind in (",", ")"):
                    values.append("")
                if after.kind == ",":
                    self._next()
                    after = self._peek()
                    if after.kind == ")":
                        values.append("")
            else:
                raise ValueError(f"found '{token.text}', expected: ',', or identifier")
            if after.kind == ")":
                self._next()
                return values


def parse_labels(text: str) -> LabelSelector:
    """A label selector from its text form, e.g. `app=web,tier in (a,b),!old`. Raises ValueError in upstream's words."""
    if not text:
        return EVERYTHING
    found = _Parser(text).parse()
    return LabelSelector(tuple(sorted(found, key=lambda r: r.key)))


def requirement(key: str, operator: str, values: Sequence[str]) -> Requirement:
    """One checked requirement. Raises ValueError."""
    values = sorted(dict.fromkeys(values))
    found = _key_faults(key, "key")
    if operator in ("in", "notin"):
        if not values:
            found.append(faults.invalid("values", [], "for 'in', 'notin' operators, values set can't be empty"))
    elif operator in ("=", "==", "!="):
        if len(values) != 1:
            found.append(faults.invalid("values", values, "exact-match compatibility requires one single value"))
    elif operator in ("exists", "!"):
        if values:
            found.append(faults.invalid("values", values, "values set must be empty for exists and does not exist"))
    elif len(values) != 1:
        found.append(faults.invalid("values", values, "for 'Gt', 'Lt' operators, exactly one value is required"))
    else:
        found += [
            faults.invalid(f"values[{i}]", value, "for 'Gt', 'Lt' operators, the value must be an integer")
            for i, value in enumerate(values)
            if not _is_int64(value)
        ]
    for i, value in enumerate(values):
        found += _value_faults(value, f"values[{i}][{key}]")
    _check(found)
    return Requirement(key, operator, tuple(values))


def _check(found: list[faults.Fault]) -> None:
    texts = [f"{fault.field}: {fault.message}" for fault in found]
    if texts:
        raise ValueError(texts[0] if len(texts) == 1 else f"[{', '.join(dict.fromkeys(texts))}]")


def _key_faults(key: str, path: str) -> list[faults.Fault]:
    wrong = qualified_name_faults(key)
    return [faults.invalid(path, key, "; ".join(wrong))] if wrong else []


def _value_faults(value: str, path: str) -> list[faults.Fault]:
    wrong = []
    if len(value) > 63:
        wrong.append("must be no more than 63 bytes")
    if value and not QUALIFIED.fullmatch(value):
        wrong.append(LABEL_VALUE)
    return [faults.invalid(path, value, "; ".join(wrong))] if wrong else []


def qualified_name_faults(name: str) -> list[str]:
    """What is wrong with a label key (`prefix/name`), in upstream's words."""
    parts = name.split("/")
    if len(parts) > 2:
        return [QUALIFIED_NAME]
    wrong: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            wrong.append("prefix part must be non-empty")
        else:
            if len(parts[0]) > 253:
                wrong.append("prefix part must be no more than 253 bytes")
            if not SUBDOMAIN.fullmatch(parts[0]):
                wrong.append(PREFIX_PART)
    last = parts[-1]
    if not last:
        wrong.append("name part must be non-empty")
    elif len(last) > 63:
        wrong.append("name part must be no more than 63 bytes")
    if not QUALIFIED.fullmatch(last):
        wrong.append(NAME_PART)
    return wrong


def _is_int64(text: str) -> bool:
    return INTEGER.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


# --- label selectors, object form -------------------------------------------------------------------------------


OBJECT_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


def of_object(selector: Object | None) -> LabelSelector:
    """A `LabelSelector` object's meaning: absent matches nothing, empty matches everything. Raises ValueError."""
    if selector is None:
        return NOTHING
    found = [Requirement(key, "=", (value,)) for key, value in (selector.get("matchLabels") or {}).items()]
    found += expressions(selector.get("matchExpressions") or ())
    found.sort(key=lambda r: r.key)
    return LabelSelector(tuple(found))


def expressions(items: Sequence[Object]) -> list[Requirement]:
    """`matchExpressions` (of label selectors and of node selector terms). Raises ValueError."""
    found = []
    for item in items:
        operator = OBJECT_OPERATORS.get(item.get("operator", ""))
        if operator is None:
            raise ValueError(f"{faults.quote(str(item.get('operator', '')))} is not a valid label selector operator")
        found.append(requirement(item.get("key", ""), operator, item.get("values") or ()))
    return found


def go_text(selector: Object | None) -> str:
    """A label selector of an object as Go prints it, in messages of upstream's."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    parts = "".join(
        f"LabelSelectorRequirement{{Key:{e.get('key')},Operator:{e.get('operator')},"
        f"Values:[{' '.join(e.get('values') or ())}],}},"
        for e in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{parts}}},}}"
    )


def of_map(labels: Mapping[str, str] | None) -> LabelSelector:
    """All of these labels (a Service's selector); an empty map matches everything."""
    return LabelSelector(tuple(Requirement(key, "=", (value,)) for key, value in sorted((labels or {}).items())))


# --- field selectors --------------------------------------------------------------------------------------------


def parse_fields(text: str) -> FieldSelector:
    r"""A field selector, e.g. `metadata.name=a,status.phase!=Running`; `\\`, `\,` and `\=` escape in values.

    Raises ValueError in upstream's words. Whether a kind has the field is for the caller to say.
    """
    terms = []
    for part in _split_terms(text):
        if not part:
            continue
        split = _split_term(part)
        if split is None:
            raise ValueError(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = split
        terms.append(FieldTerm(field, "!=" if operator == "!=" else "=", _unescape(value)))
    return FieldSelector(tuple(terms))


def escape_field_value(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")


def _split_terms(text: str) -> list[str]:
    terms, start, escaped = [], 0, False
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == ",":
            terms.append(text[start:at])
            start = at + 1
    terms.append(text[start:])
    return terms


def _split_term(part: str) -> tuple[str, str, str] | None:
    for at in range(len(part)):
        for operator in ("!=", "==", "="):
            if part.startswith(operator, at):
                return part[:at], operator, part[at + len(operator) :]
    return None


def _unescape(value: str) -> str:
    if "\\" not in value and "," not in value and "=" not in value:
        return value
    out: list[str] = []
    escaped = False
    for char in value:
        if escaped:
            if char not in "\\,=":
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{char}")
            out.append(char)
            escaped = False
        elif char == "\\":
            escaped = True
        elif char in ",=":
            raise ValueError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            out.append(char)
    if escaped:
        raise ValueError("invalid field selector: invalid escape sequence: \\")
    return "".join(out)
