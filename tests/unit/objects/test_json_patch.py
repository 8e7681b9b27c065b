"""JSON Patch: what is copied, what is shared, what is refused."""

from __future__ import annotations

import pytest

from heeler.objects import json_patch
from heeler.objects.status import StatusError


def test_what_is_copied_shares_nothing():
    ops = [
        {"op": "copy", "from": "/a", "path": "/b"},
        {"op": "add", "path": "/b/x", "value": 2},
        {"op": "add", "path": "/a/y", "value": 3},
    ]
    doc = {"a": {"x": 1}}
    assert json_patch.apply(doc, ops) == {"a": {"x": 1, "y": 3}, "b": {"x": 2}}
    assert doc == {"a": {"x": 1}}


def test_a_value_of_the_patch_stays_as_it_is():
    value = {"x": 1}
    ops = [{"op": "add", "path": "/a", "value": value}, {"op": "add", "path": "/a/y", "value": 2}]
    assert json_patch.apply({}, ops) == {"a": {"x": 1, "y": 2}}
    assert value == {"x": 1}


def test_copies_that_grow_without_end_are_refused():
    ops = [{"op": "add", "path": "/a", "value": ["x" * 1000]}]
    ops += [{"op": "copy", "from": "/a", "path": "/a/-"}] * 30
    with pytest.raises(StatusError) as caught:
        json_patch.apply({}, ops)
    assert caught.value.code == 422


def test_an_index_of_any_length_is_no_index():
    with pytest.raises(StatusError) as caught:
        json_patch.apply({"a": []}, [{"op": "add", "path": "/a/" + "9" * 10_000, "value": 1}])
    assert caught.value.code == 422
