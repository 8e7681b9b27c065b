"""Expressions in CEL: in definitions, on objects, and the functions that Kubernetes adds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heeler.kinds.cel.expressions import CompileError, EvaluationError, any_values
from heeler.kinds.cel.library import Question, Rights
from heeler.kinds.cel.policies import Finding, Request, judge, matches
from heeler.kinds.cel.structures import escaped
from heeler.kinds.custom.cel_rules import definition_faults, names_old, object_faults

_INT = {"type": "integer"}


def _schema(spec: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec}}


def _ruled(rule: str, **more: Any) -> dict[str, Any]:
    properties = {"a": _INT, "s": {"type": "string"}}
    return _schema({"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": rule, **more}]})


def _said(schema: dict[str, Any], spec: Any, old: Any = None) -> list[tuple[str, str]]:
    before = None if old is None else {"spec": old}
    return [(fault.field, fault.message) for fault in object_faults({"spec": spec}, before, schema)]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("self.isSorted()", True),
        ("self.sum()", 6),
        ("self.max() - self.min()", 2),
        ("sets.contains(self, [1, 2])", True),
        ("sets.equivalent(self, [3, 2, 1, 1])", True),
        ("'ab12cd3'.findAll('[0-9]+')", ["12", "3"]),
        ("'ab12cd3'.find('[0-9]+')", "12"),
        ("quantity('1Gi').isGreaterThan(quantity('1G'))", True),
        ("quantity('500m').add(quantity('1500m')).asInteger()", 2),
        ("isQuantity('1x')", False),
        ("ip('10.0.0.1').family()", 4),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", True),
        ("cidr('10.0.0.0/8').containsCIDR('11.0.0.0/16')", False),
        ("isIP('10.0.0')", False),
        ("self.filter(x, x > 1).map(x, x * 2)", [4, 6]),
    ],
)
def test_functions(expression: str, value: Any) -> None:
    assert any_values("self").compile(expression).evaluate({"self": [1, 2, 3]}) == value


def test_a_text_that_is_no_expression_is_refused_in_the_compilers_words() -> None:
    with pytest.raises(CompileError, match=r"^ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'"):
        any_values("self").compile("1 +")


def test_an_unknown_name_is_told_of_by_its_first_part() -> None:
    with pytest.raises(CompileError, match="undeclared reference to 'who'"):
        any_values("self").compile("who.am.i == 1")


def test_a_value_that_is_not_there_is_an_error_of_the_evaluation() -> None:
    with pytest.raises(EvaluationError, match=r"^no such key: b$"):
        any_values("self").compile("self.b == 1").evaluate({"self": {"a": 1}})


def test_the_compiler_knows_the_fields_of_a_schema() -> None:
    assert list(definition_faults(_ruled("self.a > 1 && self.s == ''"), "p")) == []
    (fault,) = definition_faults(_ruled("self.b > 1"), "p")
    assert fault.field == "p.properties[spec].x-kubernetes-validations[0].rule"
    assert fault.message.startswith('Invalid value: {"Rule":"self.b \\u003e 1","Message":"",')
    assert fault.message.endswith("ERROR: <input>:1:5: undefined field 'b'\n | self.b > 1\n | ....^")


def test_lists_maps_and_times_of_a_schema_have_their_types() -> None:
    parts = {
        "l": {"type": "array", "items": {"type": "object", "properties": {"x": _INT}}},
        "m": {"type": "object", "additionalProperties": _INT},
        "ll": {"type": "array", "items": {"type": "array", "items": _INT}},
        "t": {"type": "string", "format": "date-time"},
        "d": {"type": "string", "format": "duration"},
        "either": {"x-kubernetes-int-or-string": True},
        "a-b": {"type": "number"},
    }
    rule = (
        "self.l.all(i, i.x > 0) && self.m.all(k, self.m[k] > 0) && self.ll[0][0] == 1 && "
        "self.t < timestamp('2030-01-01T00:00:00Z') && self.d < duration('2h') && self.either == 3 && "
        "self.a__dash__b > 1.5"
    )
    schema = _schema({"type": "object", "properties": parts, "x-kubernetes-validations": [{"rule": rule}]})
    assert list(definition_faults(schema, "p")) == []
    good = {"l": [{"x": 1}], "m": {"k": 1}, "ll": [[1]], "t": "2020-01-01T00:00:00Z", "d": "1h30m"}
    good |= {"either": 3, "a-b": 2}
    assert _said(schema, good) == []
    assert _said(schema, {**good, "d": "3h"}) == [("spec", f"Invalid value: failed rule: {rule}")]


def test_a_broken_rule_tells_its_message() -> None:
    assert _said(_ruled("self.a > 1", message="more"), {"a": 1}) == [("spec", "Invalid value: more")]
    computed = _ruled("self.a > 1", messageExpression="'not ' + string(self.a)")
    assert _said(computed, {"a": 1}) == [("spec", "Invalid value: not 1")]


def test_a_rule_may_speak_of_a_field_and_a_reason() -> None:
    schema = _ruled("has(self.a)", reason="FieldValueRequired", fieldPath=".a", message="give a")
    assert _said(schema, {}) == [("spec.a", "Required value: give a")]


def test_transition_rules_wait_for_a_former_value() -> None:
    schema = _ruled("self.a >= oldSelf.a")
    assert _said(schema, {"a": 1}) == []
    assert _said(schema, {"a": 1}, {"a": 2}) == [("spec", "Invalid value: failed rule: self.a >= oldSelf.a")]


def test_an_optional_former_value() -> None:
    schema = _ruled("oldSelf.hasValue() ? self.a >= oldSelf.value().a : self.a == 1", optionalOldSelf=True)
    assert list(definition_faults(schema, "p")) == []
    assert _said(schema, {"a": 1}) == []
    assert len(_said(schema, {"a": 2})) == 1
    assert _said(schema, {"a": 5}, {"a": 3}) == []


def test_what_did_not_change_is_not_held_against_a_writer() -> None:
    assert _said(_ruled("self.a > 1"), {"a": 1}, {"a": 1}) == []


def test_items_of_atomic_lists_have_no_former_value() -> None:
    item = {"type": "object", "properties": {"x": _INT}, "x-kubernetes-validations": [{"rule": "self.x == oldSelf.x"}]}
    (fault,) = definition_faults({"type": "object", "properties": {"l": {"type": "array", "items": item}}}, "p")
    assert fault.message.endswith("uncorrelatable portion of the schema within p.properties[l]")


def test_a_text_does_not_name_the_former_value() -> None:
    assert names_old("oldSelf.a == 1") and not names_old("self.a == 'oldSelf'") and not names_old("self.oldSelf == 1")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a", "a"),
        ("a-b", "a__dash__b"),
        ("a.b", "a__dot__b"),
        ("if", "__if__"),
        ("x__y", "x__underscores__y"),
        ("1", None),
    ],
)
def test_names_of_fields_in_expressions(name: str, known: str | None) -> None:
    assert escaped(name) == known


_REQUEST = Request("CREATE", "", "v1", "configmaps", "", "a", "n", True)
_MATCH: dict[str, Any] = {
    "resourceRules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]
}


def _judged(spec: dict[str, Any], **values: Any) -> list[Finding]:
    given = {
        "object": {"data": {"a": "bad"}},
        "oldObject": None,
        "request": {},
        "namespaceObject": None,
        "params": None,
    }
    return judge(spec, {**given, **values})


def test_a_policy_matches_by_rules_and_selectors() -> None:
    assert matches(_MATCH, _REQUEST, [{}, None], None)
    assert not matches(_MATCH, replace(_REQUEST, operation="UPDATE"), [{}, None], None)
    assert not matches(_MATCH, replace(_REQUEST, subresource="status"), [{}, None], None)
    selective = {**_MATCH, "namespaceSelector": {"matchLabels": {"a": "b"}}}
    assert not matches(selective, _REQUEST, [{}, None], {"metadata": {}})
    assert matches(selective, _REQUEST, [{}, None], {"metadata": {"labels": {"a": "b"}}})
    other = {"resourceRules": [{**_MATCH["resourceRules"][0], "apiVersions": ["v2"]}]}
    assert not matches({**other, "matchPolicy": "Exact"}, replace(_REQUEST, versions=(("", "v2"),)), [{}, None], None)
    assert matches({**other, "matchPolicy": "Equivalent"}, replace(_REQUEST, versions=(("", "v2"),)), [{}, None], None)


def test_a_policy_finds_what_does_not_hold() -> None:
    rule = "object.data.a != 'bad'"
    assert _judged({"validations": [{"expression": rule}]}) == [Finding(f"failed expression: {rule}")]
    told = {"expression": rule, "messageExpression": "'not ' + object.data.a", "reason": "Forbidden"}
    assert _judged({"validations": [told]}) == [Finding("not bad", "Forbidden")]


def test_a_policy_that_fails_open_passes_over_errors() -> None:
    rules = [{"expression": "object.data.none == 'x'"}, {"expression": "false", "message": "still"}]
    assert _judged({"failurePolicy": "Ignore", "validations": rules}) == [Finding("still")]
    found = _judged({"failurePolicy": "Fail", "validations": rules})
    words = "expression 'object.data.none == 'x'' resulted in error: no such key: none"
    assert found == [Finding(words, error=True), Finding("still")]


def test_variables_of_a_policy_build_on_one_another() -> None:
    variables = [{"name": "a", "expression": "object.data.a"}, {"name": "b", "expression": "variables.a + '!'"}]
    assert _judged({"variables": variables, "validations": [{"expression": "variables.b == 'bad!'"}]}) == []


def test_a_condition_keeps_a_policy_from_judging() -> None:
    spec = {"matchConditions": [{"name": "c", "expression": "false"}], "validations": [{"expression": "false"}]}
    assert _judged(spec) == []


def test_a_policy_asks_for_rights() -> None:
    rule = "authorizer.group('').resource('secrets').namespace('n').check('delete').allowed()"
    spec = {"validations": [{"expression": rule, "message": "no rights"}]}
    rights = Rights()
    values = {"object": {}, "oldObject": None, "request": {}, "namespaceObject": None, "params": None}
    assert judge(spec, values, rights)[0].error
    question = Question("delete", resource="secrets", namespace="n")
    assert rights.open == [question]
    assert judge(spec, values, Rights({question: (True, "")})) == []
    assert judge(spec, values, Rights({question: (False, "")})) == [Finding("no rights")]


def test_any_names_of_fields_make_types() -> None:
    text, texts = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
    parts = {"a_b": texts, "aB": texts, "ABEntry": text, "": text, "1": text, "x y": text, "-": text, "__": text}
    schema = {"type": "object", "properties": parts, "x-kubernetes-validations": [{"rule": "self.aB['x'] == 'y'"}]}
    assert list(definition_faults(schema, "p")) == []
