"""RFC 6902, RFC 7396 and strategic merge patch, with the answers that kube-apiserver gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.objects import json_patch, merge_patch, strategic
from heeler.objects.status import StatusError
from tests.unit.objects.shapes import SPEC, THING, thing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("ops", "result"),
    [
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3], "b": {"c": "d"}}),
        ([{"op": "add", "path": "/a/0", "value": 3}], {"a": [3, 1, 2], "b": {"c": "d"}}),
        ([{"op": "replace", "path": "/a/-1", "value": 3}], {"a": [1, 3], "b": {"c": "d"}}),
        ([{"op": "replace", "path": "/b/new", "value": 3}], {"a": [1, 2], "b": {"c": "d", "new": 3}}),
        ([{"op": "remove", "path": "/b/c"}], {"a": [1, 2], "b": {}}),
        ([{"op": "move", "from": "/b/c", "path": "/x~1y~0"}], {"a": [1, 2], "b": {}, "x/y~": "d"}),
        ([{"op": "copy", "from": "/b/none", "path": "/n"}], {"a": [1, 2], "b": {"c": "d"}, "n": None}),
        ([{"op": "test", "path": "/none", "value": None}], {"a": [1, 2], "b": {"c": "d"}}),
        ([{"op": "replace", "path": "", "value": {"z": 1}}], {"z": 1}),
    ],
)
def test_json_patch_operations(ops, result):
    doc = {"a": [1, 2], "b": {"c": "d"}}
    assert json_patch.apply(doc, ops) == result
    assert doc == {"a": [1, 2], "b": {"c": "d"}}


@pytest.mark.parametrize(
    "op",
    [
        {"op": "merge", "path": "/a"},
        {"path": "/a"},
        {"op": "add", "value": 1},
        {"op": "add", "path": "/a/x", "value": 1},
        {"op": "add", "path": "/a/9", "value": 1},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "remove", "path": "/none"},
        {"op": "test", "path": "/a/0", "value": True},
    ],
)
def test_an_impossible_operation_refuses_the_whole_patch(op):
    with pytest.raises(StatusError) as caught:
        json_patch.apply({"a": [1, 2]}, [op])
    assert caught.value.code == 422
    assert caught.value.message == "the server rejected our request due to an error in our request"


def test_a_body_that_is_no_patch_is_a_bad_request():
    with pytest.raises(StatusError, match="invalid JSON patch"):
        json_patch.decode(b"[")
    with pytest.raises(StatusError, match=r"cannot unmarshal string into Go value of type handlers.jsonPatchOp"):
        json_patch.decode(b'["add"]')
    with pytest.raises(StatusError, match=r"cannot unmarshal array into Go value of type map\[string\]interface \{\}"):
        merge_patch.decode(b"[]")


@given(st.dictionaries(st.text(max_size=3), JSON), st.dictionaries(st.text(max_size=3), JSON))
def test_a_merge_patch_applied_twice_changes_nothing_more(doc, patch):
    once = merge_patch.apply(doc, patch)
    assert merge_patch.apply(once, patch) == once


def test_a_merge_patch_removes_by_null_and_drops_nulls_of_new_objects():
    assert merge_patch.apply({"a": 1, "b": 2}, {"a": None, "c": {"d": None, "e": [{"f": None}]}}) == {
        "b": 2,
        "c": {"e": [{}]},
    }


def containers(*items):
    return thing(spec={"containers": list(items)})


WEB, LOG = {"name": "web", "image": "w:1", "args": ["a"]}, {"name": "log", "image": "l:1"}


@pytest.mark.parametrize(
    ("patch", "result"),
    [
        ([{"name": "log", "image": "l:2"}], [WEB, {"name": "log", "image": "l:2"}]),
        ([{"name": "new", "image": "n"}], [{"name": "new", "image": "n"}, WEB, LOG]),
        ([{"name": "web", "$patch": "delete"}], [LOG]),
        ([{"$patch": "replace"}, {"name": "x", "image": "y"}], [{"name": "x", "image": "y"}]),
        ([{"name": "web", "args": ["b"]}], [{**WEB, "args": ["b"]}, LOG]),
        ([{"name": "web", "$patch": "replace"}], []),
    ],
)
def test_strategic_lists_merge_by_key(patch, result):
    doc = containers(WEB, LOG)
    assert strategic.apply(doc, {"spec": {"containers": patch}}, THING)["spec"]["containers"] == result


def test_strategic_order_puts_named_items_in_order():
    patch = {"spec": {"$setElementOrder/containers": [{"name": "log"}, {"name": "web"}]}}
    assert strategic.apply(containers(WEB, LOG), patch, THING)["spec"]["containers"] == [LOG, WEB]


def test_strategic_retain_keys_clears_the_others():
    doc = thing(spec={"strategy": {"type": "RollingUpdate", "rolling": {"surge": 1}}})
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert strategic.apply(doc, patch, THING)["spec"]["strategy"] == {"type": "Recreate"}


def test_strategic_lists_of_text_are_joined_and_shortened():
    doc = thing(metadata={"finalizers": ["a", "b"]})
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}
    assert sorted(strategic.apply(doc, patch, THING)["metadata"]["finalizers"]) == ["b", "c"]


@pytest.mark.parametrize(
    ("patch", "code", "message"),
    [
        (
            {"spec": {"containers": [{"image": "x"}]}},
            500,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        ({"spec": {"strategy": {"$patch": "merge"}}}, 500, "unknown patch type: merge in map: map[$patch:merge]"),
        ({"spec": {"strategy": {"$patch": 5}}}, 500, "unknown patch type: %!s(int64=5) in map: map[$patch:5]"),
        ({"spec": {"strategy": {"$retainKeys": [], "type": "x"}}}, 400, "invalid patch format of retainKeys"),
        (
            {"spec": {"containers": {"name": "x"}}},
            422,
            ' "" is invalid: patch: Invalid value: "map[spec:map[containers:map[name:x]]]": '
            "cannot restore slice from map",
        ),
        (
            {"data": {"a": 1}},
            422,
            ' "" is invalid: patch: Invalid value: "map[data:map[a:1]]": cannot convert int64 to string',
        ),
    ],
)
def test_a_strategic_patch_is_refused_in_upstreams_words(patch, code, message):
    with pytest.raises(StatusError) as caught:
        strategic.apply(thing(spec={"containers": [WEB], "strategy": {"type": "x"}}), patch, THING)
    assert (caught.value.code, caught.value.message) == (code, message)


CONTAINER_PATCH = st.fixed_dictionaries(
    {"name": st.sampled_from("abc")}, optional={"image": st.text(max_size=2), "args": st.lists(st.text(max_size=2))}
)


@given(
    st.lists(CONTAINER_PATCH, unique_by=lambda c: c["name"]), st.lists(CONTAINER_PATCH, unique_by=lambda c: c["name"])
)
def test_a_strategic_patch_applied_twice_changes_nothing_more(current, patch):
    spec = {"containers": current}
    once = strategic.apply(spec, {"containers": patch}, SPEC)
    assert strategic.apply(once, {"containers": patch}, SPEC) == once
    assert sorted(c["name"] for c in once["containers"]) == sorted({c["name"] for c in [*current, *patch]})
