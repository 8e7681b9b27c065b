"""https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/ and …/field-selectors/"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.objects import selectors

LABELS = {"app": "web", "n": "3", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app == web", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app in (db, web)", True),
        ("app notin (db,web)", False),
        ("missing notin (a)", True),
        ("app", True),
        ("!app", False),
        ("!missing,app", True),
        ("n>2", True),
        ("n<3", False),
        ("missing>1", False),
        ("empty=", True),
        ("empty in ()", True),
        ("n in (1,,3)", True),
        ("in in (in),notin", False),
    ],
)
def test_labels_match_as_documented(text, matches):
    assert selectors.parse_labels(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n===1", "unable to parse requirement: found '=', expected: identifier"),
        ("!n=1", "found '=', expected: ',' or 'end of string'"),
        ("n=1,", "found '', expected: identifier after ','"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("n in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
        ("n in 1", "unable to parse requirement: found '1' expected: '('"),
        ("n in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("n exists", "unable to parse requirement: found 'exists', expected: in, notin, =, ==, !=, gt, lt"),
    ],
)
def test_a_bad_label_selector_is_refused_in_upstreams_words(text, message):
    with pytest.raises(ValueError) as caught:
        selectors.parse_labels(text)
    assert str(caught.value) == message


def test_the_object_form_matches_nothing_when_absent_and_everything_when_empty():
    assert not selectors.of_object(None).matches({"a": "b"})
    assert selectors.of_object({}).matches({"a": "b"})


def test_the_object_form_joins_labels_and_expressions():
    selector = selectors.of_object(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "n", "operator": "NotIn", "values": ["4"]}]}
    )
    assert selector.matches(LABELS)
    assert str(selector) == "app=web,n notin (4)"


NAME = st.from_regex(r"[a-z]([a-z0-9]{0,5}[a-z0-9])?", fullmatch=True)


@given(st.dictionaries(NAME, NAME, max_size=4))
def test_a_selector_of_labels_survives_its_text_form(labels):
    selector = selectors.of_map(labels)
    assert selectors.parse_labels(str(selector)).requirements == selector.requirements
    assert selector.matches(labels)


def test_field_selectors_unescape_values():
    selector = selectors.parse_fields(r"metadata.name=a\,b\=c,status.phase!=Running")
    assert selector.terms[0].value == "a,b=c"
    assert selector.matches({"metadata.name": "a,b=c", "status.phase": "Pending"})
    assert str(selector) == r"metadata.name=a\,b\=c,status.phase!=Running"
    assert selector.exact("metadata.name") == "a,b=c"


def test_a_field_selector_without_operator_is_refused():
    with pytest.raises(ValueError, match=r"invalid selector: 'x'; can't understand 'x'"):
        selectors.parse_fields("x")
