"""Expressions in CEL: in definitions, on objects, and the functions that Kubernetes adds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from heeler.kinds.cel.evaluation import OUT_OF_BUDGET, Budget
from heeler.kinds.cel.expressions import CompileError, any_values
from heeler.kinds.cel.policies import Finding, Request, judge, matches
from heeler.kinds.cel.rights import Question, Rights
from heeler.kinds.cel.structures import escaped
from heeler.kinds.cel.values import EvaluationError
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
        ("self.map(x, x > 1, self.map(y, x * y))", [[2, 4, 6], [3, 6, 9]]),
        ("self.exists(x, x / 0 == 1 || x == 2)", True),
        ("self.exists_one(x, x == 2)", True),
        ("self.indexOf(2) == 1 && self.lastIndexOf(5) == -1 && 'abc'.indexOf('c') == 2", True),
        ("string(dyn(ip('10.0.0.1')))", "10.0.0.1"),
        ("ip.isCanonical('2001:DB8::1')", False),
        ("cidr('10.0.0.7/8').masked() == cidr('10.0.0.0/8')", True),
        ("semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('v1.2', true) && !isSemver('v1.2')", True),
        ("url('https://a:80/b?x=1').getQuery()['x'][0] + url('https://a:80/b').getPort()", "180"),
        ("format.dns1123Label().validate('a') == optional.none()", True),
        ("format.named('uuid').value().validate('x').value()[0]", "does not match the UUID format"),
        ("'%s: %d, %.1f, %s'.format(['a', 1, 2.0, [1, 'x']])", 'a: 1, 2.0, [1, "x"]'),
        ("string(1000000.0) + ' ' + string(0.5) + ' ' + string(duration('90m'))", "1e+06 0.5 5400s"),
        ("timestamp('2020-01-01T00:30:00Z').getDate('America/New_York')", 31),
        ("timestamp('2020-01-01T00:00:00Z') + duration('1h') > timestamp('2020-01-01T00:59:59.5Z')", True),
        ("{'a': 1, ?'b': optional.none(), 'c': 1u + 2u}.size()", 2),
        ("[[1, 2], [3]].map(l, l.sum()).max()", 3),
        ("self.slice(1, 3) + [[1], [2]].flatten() + lists.range(2)", [2, 3, 1, 2, 0, 1]),
        (
            "[3, 1, 3].distinct().sort() + [1, 2].reverse() + [self.first().value(), self.last().value()]",
            [1, 3, 2, 1, 1, 3],
        ),
        ("[{'n': 2}, {'n': 1}].sortBy(x, x.n).map(x, x.n)", [1, 2]),
        ("type(self) == list && type(1) != type('')", True),
        ("dyn(1) == 1.0 && dyn(1) == 1u && dyn(true) != 1", True),
        ("optional.of({'a': {'b': 1}}).a.?c.orValue(0)", 0),
        ("'a-b-c'.split('-', 2) == ['a', 'b-c'] && 'abc'.substring(1, 2) == 'b'", True),
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


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("self.i.size()", ["1:12: found no matching overload for 'size' applied to 'int.()'"]),
        ("self.s.contains(1)", ["1:16: found no matching overload for 'contains' applied to 'string.(int)'"]),
        ("self.i + 'a' == 'b'", ["1:8: found no matching overload for '_+_' applied to '(int, string)'"]),
        ("self.s == null", ["1:8: found no matching overload for '_==_' applied to '(string, null)'"]),
        ("self.i.x.y == 1", ["1:7: type 'int' does not support field selection"]),
        (
            "self.s.all(x, true)",
            ["1:5: expression of type 'string' cannot be range of a comprehension (must be list, map, or"],
        ),
        ("has(self)", ["1:5: invalid argument to has() macro"]),
        (
            "nope.a == no",
            ["1:1: undeclared reference to 'nope' (in container '')", "1:11: undeclared reference to 'no'"],
        ),
        ("cel.bind(x, 1, x)", ["1:1: undeclared reference to 'cel'", "1:9: undeclared reference to 'bind'"]),
    ],
)
def test_the_compilers_words_are_upstreams(expression: str, words: list[str]) -> None:
    properties = {"i": _INT, "s": {"type": "string", "maxLength": 5}}
    schema = _schema({"type": "object", "properties": properties, "x-kubernetes-validations": [{"rule": expression}]})
    (fault,) = definition_faults(schema, "p")
    told = fault.message.partition("compilation failed: ")[2]
    for line in words:
        assert f"ERROR: <input>:{line}" in told
    assert "*error*" not in told


def test_numbers_of_different_types_are_compared() -> None:
    assert list(definition_faults(_ruled("self.a > 1.5 && 1u < 2 && string(ip('1.2.3.4')) != ''"), "p")) == []


def test_a_value_that_is_not_there_is_an_error_of_the_evaluation() -> None:
    with pytest.raises(EvaluationError, match=r"^no such key: b$"):
        any_values("self").compile("self.b == 1").evaluate({"self": {"a": 1}})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("m.all(k, v, v > 0 && k != 'x') && l.exists(i, v, i == 1 && v == 20)", True),
        ("l.existsOne(i, v, v + i == 21)", True),
        ("l.transformList(i, v, i > 0, v * i)", [20, 60]),
        ("m.transformMap(k, v, v * 2)", {"a": 2, "b": 4}),
        ("l.transformMap(i, v, i != 1, v)", {0: 10, 2: 30}),
        ("m.transformMapEntry(k, v, {v: k})", {1: "a", 2: "b"}),
        ("l.all(i, v, m.all(k, w, w < v + i && '.all(a, b, c)' != k))", True),
        ("l.all(x, x > 1)", True),
    ],
)
def test_macros_with_two_variables(expression: str, value: Any) -> None:
    given = {"m": {"a": 1, "b": 2}, "l": [10, 20, 30]}
    assert any_values("m", "l").compile(expression).evaluate(given) == value


def test_faults_in_macros_with_two_variables_are_told_where_they_were_written() -> None:
    with pytest.raises(CompileError) as error:
        any_values("m").compile("m.exists(k, v,\n  nope == v)")
    words = "undeclared reference to 'nope' (in container '')"
    assert str(error.value) == f"ERROR: <input>:2:3: {words}\n |   nope == v)\n | ..^"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("self[5]", "index out of bounds: 5"),
        ("9223372036854775807 + self[0]", "integer overflow"),
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("duration('x')", "type conversion error from 'string' to 'google.protobuf.Duration'"),
        ("dyn('a') + 1", "no such overload"),
        ("'a'.matches('[')", "error parsing regexp: missing closing ]: `[`"),
        ("optional.none().value()", "optional.none() dereference"),
        ("string(dyn([1]))", "no such overload: string(list)"),
        ("dyn(true) + dyn(true)", "no such overload: _+_"),
        ("dyn(5).all(x, true)", "got 'types.Int', expected iterable type"),
        ("false || self[5] == 1", "index out of bounds: 5"),
        ("self.slice(1, 9)", "cannot slice(1, 9), list is length 3"),
        ("lists.range(-1)", "lists.range: size must be non-negative, got -1"),
    ],
)
def test_words_of_what_has_no_value(expression: str, words: str) -> None:
    with pytest.raises(EvaluationError) as error:
        any_values("self").compile(expression).evaluate({"self": [1, 2, 3]})
    assert str(error.value) == words


@pytest.mark.parametrize(
    ("expression", "at", "words"),
    [
        ("self.a > 1 && duration('x') > duration('1s')", 24, "invalid duration argument"),
        ("timestamp('x') < timestamp('2020-01-01T00:00:00Z')", 11, "invalid timestamp argument"),
        ("self.s.matches('[')", 16, "invalid matches argument"),
        ("[1, 'a'].size() > 0", 5, "expected type 'int' but found 'string'"),
        ("{'a': 1, 'b': 'c'}.size() > 0", 15, "expected type 'int' but found 'string'"),
    ],
)
def test_literals_that_do_not_hold_are_found_when_a_rule_is_defined(expression: str, at: int, words: str) -> None:
    (fault,) = definition_faults(_ruled(expression), "p")
    error = f"ERROR: <input>:1:{at}: {words}\n | {expression}\n | {'.' * (at - 1)}^"
    assert fault.message.endswith(f": compilation failed: {error}")


def test_texts_are_formatted_from_values_of_any_types() -> None:
    assert list(definition_faults(_ruled("'%s %d'.format(['a', 1]) != ''"), "p")) == []


@pytest.mark.parametrize(
    ("expression", "cost"),
    [
        ("self.a", 2),
        ("has(self.a)", 1),
        ("self.a == 1", 3),
        ("self.s.startsWith('01234567890')", 4),
        ("[1, 2].size() == 2", 2),
        ("[self.a].size()", 13),
        ("self.l.all(x, x > 0)", 2 + 3 * (2 + 3) + 1),
        ("self.s.contains('b') ? 1 : 2", 3),
    ],
)
def test_what_evaluating_costs(expression: str, cost: int) -> None:
    budget = Budget(1000)
    any_values("self").compile(expression).evaluate({"self": {"a": 1, "s": "a b", "l": [1, 2, 3]}}, budget)
    assert 1000 - budget.left == cost


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
    return judge(spec, {**given, **values}).findings


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
    assert _judged({"failurePolicy": "Ignore", "validations": rules}) == [Finding("still", at=1)]
    found = _judged({"failurePolicy": "Fail", "validations": rules})
    words = "expression 'object.data.none == 'x'' resulted in error: no such key: none"
    assert found == [Finding(words, error=True), Finding("still", at=1)]


def test_variables_of_a_policy_build_on_one_another() -> None:
    variables = [{"name": "a", "expression": "object.data.a"}, {"name": "b", "expression": "variables.a + '!'"}]
    assert _judged({"variables": variables, "validations": [{"expression": "variables.b == 'bad!'"}]}) == []


def test_a_condition_keeps_a_policy_from_judging() -> None:
    spec = {"matchConditions": [{"name": "c", "expression": "false"}], "validations": [{"expression": "false"}]}
    assert _judged(spec) == []


def test_a_variable_without_a_value_is_told_of_where_it_is_asked_for() -> None:
    variables = [{"name": "a", "expression": "object.none"}, {"name": "unused", "expression": "1 / 0"}]
    (found,) = _judged({"variables": variables, "validations": [{"expression": "variables.a == 1"}]})
    words = 'composited variable "a" fails to evaluate: no such key: none'
    assert found == Finding(f"expression 'variables.a == 1' resulted in error: {words}", error=True)
    assert (
        _judged({"variables": variables, "validations": [{"expression": "!has(object.none) || variables.a == 1"}]})
        == []
    )


def test_a_condition_without_a_value_counts_only_if_no_other_is_false() -> None:
    broken, false = {"name": "b", "expression": "object.none"}, {"name": "f", "expression": "false"}
    validations = [{"expression": "false"}]
    assert _judged({"matchConditions": [broken, false], "validations": validations}) == []
    (found,) = _judged({"matchConditions": [broken], "validations": validations})
    assert found == Finding("expression 'object.none' resulted in error: no such key: none", error=True)


def test_what_a_policy_says_to_the_audit_log() -> None:
    rows = [{"key": "a", "valueExpression": "' seen '"}, {"key": "b", "valueExpression": "null"}]
    rows.append({"key": "c", "valueExpression": "dyn(1)"})
    verdict = judge({"auditAnnotations": rows}, {"object": {}})
    assert verdict.annotations == [("a", "seen")]
    words = (
        "valueExpression 'dyn(1)' resulted in unsupported return type: int. Return type must be either string or null."
    )
    assert verdict.findings == [Finding(words, error=True)]


def test_the_expressions_of_a_policy_share_a_budget() -> None:
    many = list(range(1000))
    costly = {"expression": "object.l.all(x, object.l.all(y, y >= 0 || y < 0 || x == y))"}
    (found,) = _judged({"validations": [costly]}, object={"l": many})
    assert found.message.endswith("resulted in error: operation cancelled: actual cost limit exceeded")
    half = {"expression": f"object.l.all(x, object.l.all(y, {' && '.join(['y >= 0'] * 20)}))"}
    found = _judged({"validations": [half] * 12}, object={"l": many[:140]})
    assert found == [Finding(OUT_OF_BUDGET, error=True)]


def test_a_policy_asks_for_rights() -> None:
    rule = "authorizer.group('').resource('secrets').namespace('n').check('delete').allowed()"
    spec = {"validations": [{"expression": rule, "message": "no rights"}]}
    rights = Rights()
    values = {"object": {}, "oldObject": None, "request": {}, "namespaceObject": None, "params": None}
    assert judge(spec, values, rights).findings[0].error
    question = Question("delete", resource="secrets", namespace="n")
    assert rights.open == [question]
    assert judge(spec, values, Rights({question: (True, "")})).findings == []
    assert judge(spec, values, Rights({question: (False, "")})).findings == [Finding("no rights")]


def test_any_names_of_fields_make_types() -> None:
    text, texts = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
    parts = {"a_b": texts, "aB": texts, "ABEntry": text, "": text, "1": text, "x y": text, "-": text, "__": text}
    schema = {"type": "object", "properties": parts, "x-kubernetes-validations": [{"rule": "self.aB['x'] == 'y'"}]}
    assert list(definition_faults(schema, "p")) == []


_UNBOUNDED = {"type": "array", "items": {"type": "string"}}
_BOUNDED = {"type": "array", "maxItems": 100, "items": {"type": "string", "maxLength": 50}}
_PAIRS = "self.l.all(x, self.l.all(y, x == y))"
_WHERE = "where arrays, maps, and strings are declared"
_HINT = f"(try simplifying the rule, or adding maxItems, maxProperties, and maxLength {_WHERE})"


def _with_list(items: dict[str, Any], rule: str = _PAIRS, **more: Any) -> dict[str, Any]:
    return _schema({"type": "object", "properties": {"l": items}, "x-kubernetes-validations": [{"rule": rule, **more}]})


def test_a_rule_that_may_cost_too_much_is_refused_when_it_is_defined() -> None:
    assert list(definition_faults(_with_list(_BOUNDED), "p")) == []
    found = [(fault.field, fault.message) for fault in definition_faults(_with_list(_UNBOUNDED), "p")]
    where = "p.properties[spec].x-kubernetes-validations[0].rule"
    whole = "for entire OpenAPIv3 schema"
    assert found == [
        (where, f"Forbidden: estimated rule cost exceeds budget by factor of more than 100x {_HINT}"),
        (where, f"Forbidden: contributed to estimated rule cost total exceeding cost limit {whole}"),
        (
            "p",
            f"Forbidden: x-kubernetes-validations estimated rule cost total {whole} exceeds budget by factor of more than "
            f"100x {_HINT}",
        ),
    ]


def test_a_rule_costs_as_often_as_its_value_may_stand_in_an_object() -> None:
    item = {"type": "object", "properties": {"s": {"type": "string", "maxLength": 100}}}
    item |= {"x-kubernetes-validations": [{"rule": "self.s.contains('x')"}]}
    assert list(definition_faults(_schema({"type": "array", "maxItems": 100, "items": item}), "p")) == []
    (fault, *_) = definition_faults(_schema({"type": "array", "maxItems": 1_000_000, "items": item}), "p")
    assert fault.message == f"Forbidden: estimated rule cost exceeds budget by factor of 4.2x {_HINT}"


def test_macros_with_two_variables_are_estimated_by_the_schema() -> None:
    rule = "self.l.all(i, x, self.l.all(j, y, i == j || x != y))"
    assert list(definition_faults(_with_list(_BOUNDED, rule), "p")) == []
    assert list(definition_faults(_with_list(_UNBOUNDED, rule), "p"))


def test_a_rule_may_only_ask_for_an_optional_former_value_that_it_speaks_of() -> None:
    (fault,) = definition_faults(_ruled("self.a > 1", optionalOldSelf=True), "p")
    assert fault.field == "p.properties[spec].x-kubernetes-validations[0].optionalOldSelf"
    assert fault.message == "Invalid value: true: may not be set if oldSelf is not used in rule"


def test_a_message_of_texts_without_bounds_is_refused() -> None:
    joined = _ruled("self.a > 1", messageExpression="'min ' + string(self.a)")
    (fault, *_) = definition_faults(joined, "p")
    assert fault.field.endswith("x-kubernetes-validations[0].messageExpression")
    assert fault.message.startswith(
        "Forbidden: estimated messageExpression cost exceeds budget by factor of more than 100x"
    )
    assert list(definition_faults(_ruled("self.a > 1", messageExpression="'min (%d)'.format([self.a])"), "p")) == []


def test_rules_end_where_the_cost_of_an_object_does() -> None:
    many = [str(at) for at in range(1000)]
    (found,) = _said(_with_list(_UNBOUNDED, "self.l.all(x, self.l.all(y, x + y != ''))"), {"l": many})
    assert found[0] == "spec"
    words = "no further validation rules will be run due to call cost exceeds limit for rule"
    assert found[1].startswith(
        f"Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': {words}: "
    )
