"""Managed fields and server-side apply: https://kubernetes.io/docs/reference/using-api/server-side-apply/"""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.objects import apply, fieldsets
from heeler.objects.schema import STRING, Field, Type
from heeler.objects.status import StatusError
from tests.unit.objects.shapes import THING, thing

NOW, LATER = "2030-01-01T00:00:00Z", "2030-01-01T00:01:00Z"


def put(live, new, manager="m", now=NOW, **more):
    entries = apply.track_update(live, new, THING, manager=manager, api_version="v1", now=now, **more)
    return {**new, "metadata": {**new["metadata"], "managedFields": entries}}


def server_apply(live, applied, manager="m", now=NOW, **more):
    done = apply.apply(live, applied, THING, manager=manager, api_version="v1", now=now, **more)
    return {**done.object, "metadata": {**done.object["metadata"], "managedFields": done.managed_fields}}


def fields(obj):
    return {e["manager"]: e["fieldsV1"] for e in obj["metadata"]["managedFields"]}


def test_a_create_owns_what_differs_from_an_empty_object():
    made = put(
        None,
        thing(
            metadata={"name": "t", "uid": "u", "labels": {"a": "b"}, "finalizers": ["x"]},
            spec={
                "selector": {"a": "b"},
                "strategy": {},
                "containers": [{"name": "c", "ports": [{"containerPort": 80}]}],
            },
        ),
    )
    assert made["metadata"]["managedFields"] == [
        {
            "manager": "m",
            "operation": "Update",
            "apiVersion": "v1",
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:finalizers": {".": {}, 'v:"x"': {}}, "f:labels": {".": {}, "f:a": {}}},
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:name": {},
                            "f:ports": {
                                ".": {},
                                'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                            },
                        }
                    },
                    "f:selector": {},
                },
            },
        }
    ]


def test_an_update_takes_what_it_changes_from_others():
    live = put(None, thing(data={"a": "1", "b": "2", "c": "3"}), "one")
    after = put(live, thing(data={"a": "9", "c": "3"}), "two", LATER)
    assert fields(after) == {"one": {"f:data": {".": {}, "f:c": {}}}, "two": {"f:data": {"f:a": {}}}}
    assert [e["time"] for e in after["metadata"]["managedFields"]] == [NOW, LATER]


def test_an_update_that_changes_nothing_keeps_the_time():
    live = put(None, thing(data={"a": "1"}))
    assert put(live, thing(data={"a": "1"}), now=LATER)["metadata"] == live["metadata"]


def test_an_unmanaged_object_stays_unmanaged_until_it_is_applied_to():
    live = thing(data={"a": "1"})
    assert put(live, thing(data={"a": "2"}))["metadata"]["managedFields"] == []
    with pytest.raises(StatusError, match=r'conflict with "before-first-apply" using v1: \.data\.a'):
        server_apply(live, thing(data={"a": "2"}))


def test_an_eleventh_updater_folds_the_oldest_into_ancient_changes():
    live = put(None, thing(data={"k0": "v"}), "m0")
    for n in range(1, 12):
        new = {**live, "data": {**live["data"], f"k{n}": "v"}}
        live = put(live, new, f"m{n}", f"2030-01-01T00:00:{n:02d}Z")
    managers = [e["manager"] for e in live["metadata"]["managedFields"]]
    assert len(managers) == 10
    assert managers[0] == "ancient-changes"
    assert "m0" not in managers and "m11" in managers


def test_apply_refuses_what_another_manager_set_to_another_value():
    live = server_apply(None, thing(data={"a": "1"}), "one")
    live = server_apply(live, thing(data={"a": "1"}), "two")
    with pytest.raises(StatusError) as caught:
        server_apply(live, thing(data={"a": "9"}), "three")
    assert caught.value.code == 409
    assert caught.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\nconflicts with "two":\n- .data.a'
    )


def test_apply_by_force_takes_the_field():
    live = server_apply(None, thing(data={"a": "1"}), "one")
    after = server_apply(live, thing(data={"a": "2"}), "two", force=True)
    assert after["data"] == {"a": "2"}
    assert fields(after) == {"two": {"f:data": {"f:a": {}}}}


def test_apply_removes_what_its_manager_gives_up_and_nobody_else_manages():
    live = server_apply(None, thing(data={"a": "1", "b": "2"}), "one")
    live = server_apply(live, thing(data={"a": "1"}), "two")
    after = server_apply(live, thing(), "one")
    assert after["data"] == {"a": "1"}
    assert fields(after) == {"two": {"f:data": {"f:a": {}}}}
    assert "data" not in server_apply(after, thing(), "two")


def test_giving_up_a_struct_takes_the_defaults_in_it_along():
    live = server_apply(None, thing(spec={"strategy": {"type": "R", "rolling": {"surge": 1}}}), "one")
    live["spec"]["strategy"]["rolling"]["default"] = 5
    after = server_apply(live, thing(spec={"strategy": {"type": "Recreate"}}), "one")
    assert after["spec"]["strategy"] == {"type": "Recreate"}


def test_list_items_merge_by_key_and_go_with_their_owner():
    live = server_apply(None, thing(spec={"containers": [{"name": "a", "image": "1"}]}), "one")
    live = server_apply(live, thing(spec={"containers": [{"name": "b", "image": "2"}]}), "two")
    assert [c["name"] for c in live["spec"]["containers"]] == ["a", "b"]
    after = server_apply(live, thing(spec={"containers": []}), "two")
    assert [c["name"] for c in after["spec"]["containers"]] == ["a"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data": {"a": 1}}, ".data.a: expected string, got &value.valueUnstructured{Value:1}"),
        ({"unknown": 1}, ".unknown: field not declared in schema"),
        ({"spec": {"replicas": "x"}}, ".spec.replicas: expected numeric (int or float), got string"),
        (
            {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}},
            '.spec.containers: duplicate entries for key [name="a"]',
        ),
    ],
)
def test_what_does_not_fit_the_type_is_refused_in_upstreams_words(parts, message):
    with pytest.raises(StatusError) as caught:
        server_apply(None, thing(**parts))
    assert caught.value.code == 500
    assert caught.value.message == f"failed to create typed patch object (/t; /v1, Kind=Thing): {message}"


def test_only_new_times_are_no_change():
    live = put(None, thing(data={"a": "1"}))
    again = {
        **live,
        "metadata": {
            **live["metadata"],
            "managedFields": put(None, thing(data={"a": "1"}), now=LATER)["metadata"]["managedFields"],
        },
    }
    assert apply.keep_times(live, again) == live


DATA = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"))
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 3),
        "containers": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("xyz")}, optional={"image": st.sampled_from("12")}),
            unique_by=lambda c: c["name"],
        ),
    },
)


@given(DATA, SPECS, DATA, SPECS)
def test_apply_is_idempotent_and_wins_where_it_is_forced(data, spec, other_data, other_spec):
    live = server_apply(None, thing(data=data, spec=spec), "one")
    config = thing(data=other_data, spec=other_spec)
    once = server_apply(live, config, "two", force=True)
    assert server_apply(once, config, "two", LATER) == once
    assert {k: once["data"][k] for k in other_data} == other_data


@given(DATA, SPECS, DATA, SPECS)
def test_comparison_sets_add_up(data, spec, other_data, other_spec):
    old, new = thing(data=data, spec=spec), thing(data=other_data, spec=other_spec)
    there, back = fieldsets.compare(old, new, THING), fieldsets.compare(new, old, THING)
    assert there.added == back.removed and there.removed == back.added and there.modified == back.modified
    assert fieldsets.intersection(there.added, there.removed) == {}
    whole = fieldsets.union(there.added, there.modified)
    assert fieldsets.difference(fieldsets.difference(whole, there.modified), there.added) == {}


def test_items_that_share_a_name_are_owned_together_and_not_what_is_in_them():
    twice = [{"name": "c", "image": "a"}, {"name": "c", "image": "b"}]
    made = put(None, thing(spec={"containers": twice}))
    assert fields(made)["m"]["f:spec"]["f:containers"] == {'k:{"name":"c"}': {}}
    same = put(made, thing(spec={"containers": twice}), manager="n", now=LATER)
    assert fields(same) == fields(made)
    changed = put(made, thing(spec={"containers": [twice[0], {"name": "c", "image": "x"}]}), manager="n", now=LATER)
    assert fields(changed)["n"]["f:spec"]["f:containers"] == {'k:{"name":"c"}': {}}


def test_an_item_is_named_by_the_keys_that_it_has_and_must_have_one():
    kind = Type("list", item=Type("struct"), list_type="map", keys=("a", "b"))
    assert fieldsets.item_key({"a": "x"}, kind) == 'k:{"a":"x"}'
    with pytest.raises(
        ValueError, match=r'omits all key fields \["a" "b"\] \(and doesn\'t have default values for any key'
    ):
        fieldsets.item_key({"c": 1}, kind)


def test_lists_in_fields_of_no_known_type_are_claimed_whole():
    free = Type("struct", fields={"free": Field("free", Type("struct", preserve=True))})
    found = fieldsets.applied({"free": {"l": [1], "m": {"n": 1}}}, free)
    assert found == {"f:free": {"f:l": {}, "f:m": {".": {}, "f:n": {}}}}


def test_what_is_made_for_a_type_goes_with_it() -> None:
    """Types of custom kinds come and go."""
    passing = Type("struct", "Passing", fields={"a": Field("a", Type("map", item=STRING))})
    assert fieldsets.created({"a": {"b": "c"}}, passing)
    del passing
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Type) and one.name == "Passing"]
