"""Hints by zone: https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.controllers import topology_hints as hints


def node(zone: str = "a", cpu: str = "4", ready: str = "True", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"labels": {**({hints.ZONE: zone} if zone else {}), **labels}},
        "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]},
    }


def endpoints(*zones: str, ready: bool = True) -> list[dict[str, Any]]:
    return [
        {"addresses": [f"10.0.0.{number}"], "conditions": {"ready": ready}, "zone": zone, "hints": {"forZones": []}}
        for number, zone in enumerate(zones)
    ]


def zones_of(found: list[dict[str, Any]]) -> str:
    return "".join(one["hints"]["forZones"][0]["name"] if "hints" in one else "-" for one in found)


def test_shares_go_by_the_processors_of_nodes_that_take_part() -> None:
    control_plane = node("c", **{"node-role.kubernetes.io/control-plane": ""})
    assert hints.shares([node("a"), node("b", "12"), control_plane, node("", ready="False")]) == {"a": 0.25, "b": 0.75}


@pytest.mark.parametrize("nodes", [[], [node()], [node(), node("")], [node("a"), node("b", "0")]])
def test_nodes_that_say_too_little_give_no_hints(nodes: list[dict[str, Any]]) -> None:
    with pytest.raises(hints.CanNotHint, match="Insufficient Node information"):
        hints.shares(nodes)


@pytest.mark.parametrize(
    ("zones", "share", "told"),
    [
        ("ab", {"a": 0.5, "b": 0.5}, "ab"),
        ("aaaa", {"a": 0.5, "b": 0.5}, "bbaa"),
        ("aaab", {"a": 0.5, "b": 0.5}, "baab"),
        ("aabb", {"a": 0.25, "b": 0.75}, "babb"),
        ("aaaaaa", {"a": 0.34, "b": 0.33, "c": 0.33}, "bcbcaa"),
    ],
)
def test_zones_that_have_too_few_get_some_of_others(zones: str, share: dict[str, float], told: str) -> None:
    assert zones_of(hints.hinted(endpoints(*zones), share)) == told


def test_endpoints_that_are_not_ready_have_no_hint() -> None:
    found = [*endpoints("a", "b"), *endpoints("a", ready=False)]
    assert zones_of(hints.hinted(found, {"a": 0.5, "b": 0.5})) == "ab-"


@pytest.mark.parametrize(
    ("zones", "share", "why"),
    [
        ("a", {"a": 0.5, "b": 0.5}, r"Insufficient number of endpoints \(1 endpoints, 2 zones\)"),
        ("aaa", {"a": 0.5, "b": 0.5}, r"exceeding overload threshold \(3 endpoints, 2 zones\)"),
        (("a", ""), {"a": 0.5, "b": 0.5}, "do not have a zone"),
    ],
)
def test_what_can_not_be_done_safely_is_said(zones: Any, share: dict[str, float], why: str) -> None:
    with pytest.raises(hints.CanNotHint, match=why):
        hints.hinted(endpoints(*zones), share)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.integers(1, 9), min_size=3, max_size=3))
def test_no_zone_is_left_with_much_less_than_it_must_have(zones: list[str], weights: list[int]) -> None:
    share = {zone: weight / sum(weights) for zone, weight in zip("abc", weights, strict=True)}
    try:
        found = hints.hinted(endpoints(*zones), share)
    except hints.CanNotHint:
        return
    told = Counter(zones_of(found))
    # one less it may be, as upstream: ten endpoints in the first zone of shares 1, 1 and 5 become 2, 1 and 7
    assert all(told[zone] >= part.least - 1 for zone, part in hints.parts(share, len(zones)).items())


def test_the_greatest_need_is_met_first_even_if_a_zone_is_left_with_one_less_than_its_least() -> None:
    share = {"a": 1 / 7, "b": 1 / 7, "c": 5 / 7}
    assert hints.parts(share, 10)["b"].least == 2
    assert Counter(zones_of(hints.hinted(endpoints(*"aaaaaaaaaa"), share))) == {"a": 2, "b": 1, "c": 7}


def test_an_annotation_asks_for_them() -> None:
    def service(**notes: str) -> dict[str, Any]:
        return {
            "metadata": {"annotations": {f"service.kubernetes.io/{k.replace('_', '-')}": v for k, v in notes.items()}}
        }

    assert hints.is_wanted(service(topology_mode="Auto"))
    assert hints.is_wanted(service(topology_aware_hints="auto"))
    assert not hints.is_wanted(service(topology_mode="Disabled", topology_aware_hints="auto"))
    assert not hints.is_wanted(service())


def test_what_a_zone_needs_at_least_is_rounded_as_float64s_are():
    assert hints.parts({"a": 0.42, "b": 0.58}, 20)["a"].least == 8
