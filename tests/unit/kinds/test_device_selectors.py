"""Selectors of devices: what kube-apiserver 1.37 says of them (asked beside it)."""

from __future__ import annotations

import pytest

from heeler.kinds.cel.admission import device_faults


def said(text: str) -> list[str]:
    return [
        fault.message.partition(": compilation failed: ERROR: <input>:")[2] or fault.message
        for fault in device_faults(text, "e")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "device.driver == 'x'",
        "device.attributes['a'].b",
        "device.attributes['a'].b == device",
        "has(device.capacity) && device.driver == 'x'",
        "device.capacity['x'].y.compareTo(quantity('1')) > 0",
        "cel.bind(a, device.attributes['x'], a.b == 1 && a.c)",
        "device.attributes['a'].exists(x, x == 'b') && device.allowMultipleAllocations",
        "cel.bind(d, device, d.attributes['dra.example.com'].flag)",
        "has(device.attributes) ? device.attributes['d'].flag : false",
        "[device][0].attributes['d'].flag",
        "// has(device.attributes)\ndevice.attributes['d'].flag",
        "[google.protobuf.Timestamp].size() == 1",
    ],
)
def test_a_selector_says_whether_a_device_will_do(text):
    assert said(text) == []


@pytest.mark.parametrize(
    ("text", "returns"),
    [
        ("device", "kubernetes.DRADevice"),
        ("[device]", "list(kubernetes.DRADevice)"),
        ("device.attributes", "map(string, map(string, google.protobuf.Any))"),
        ("device.capacity", "map(string, map(string, kubernetes.Quantity))"),
        ("device.driver", "string"),
        ("dyn(device).foo", "dyn"),
    ],
)
def test_anything_else_is_refused_by_its_type(text, returns):
    [found] = said(text)
    assert found.endswith(f": must evaluate to bool or the unknown type, not {returns}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("device.foo == 1", "1:7: undefined field 'foo'"),
        ("has(device.foo)", "1:4: undefined field 'foo'"),
        ("device + 1", "1:8: found no matching overload for '_+_' applied to '(kubernetes.DRADevice, int)'"),
        (
            "device.attributes + 1",
            "1:19: found no matching overload for '_+_' applied to '(map(string, map(string, any)), int)'",
        ),
        (
            "device.capacity['x'].y > 1",
            "1:24: found no matching overload for '_>_' applied to '(kubernetes.Quantity, int)'",
        ),
        (
            "device.map(x,x)",
            "1:1: expression of type 'kubernetes.DRADevice' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
    ],
)
def test_faults_name_the_types_as_upstream_does(text, why):
    [found] = said(text)
    assert found.partition("\n")[0] == why


@pytest.mark.parametrize(
    "text",
    ["[device].exists(d, d.driver.matches('a+'))", "[device].exists(d, d.attributes.exists(k, k.matches('a+')))"],
)
def test_what_is_taken_out_of_a_list_may_be_of_any_size(text):
    assert said(text) == ["Forbidden: too complex, exceeds cost limit"]


def nested(times: int, over: str, inner: str) -> str:
    for at in range(times):
        inner = f"{over}.exists(k{at}, {inner})"
    return inner


NUMBERS = "[0,1,2,3,4,5,6,7,8]"


@pytest.mark.parametrize(
    ("text", "most", "inner"),
    [
        ("device.attributes", 3, "k0 == 'x'"),
        ("device.attributes['x']", 3, "device.attributes['x'][k0] == 'x'"),
        ("device.capacity", 2, "device.driver.matches(device.driver)"),
        ("device.capacity['y']", 2, "device.attributes['x'].b.contains(device.attributes['x'].c)"),
        ("device.capacity['y']", 3, "device.capacity['x'].a.compareTo(quantity('1')) > 0"),
        ("device.capacity['y']", 3, "cel.bind(d, device.attributes['x'], d.a == d.b)"),
        (
            "device.capacity['y']",
            1,
            "device.attributes.exists(a, device.attributes[a].exists(b, device.attributes[a][b] == k0))",
        ),
        (NUMBERS, 5, "k0 > 1"),
    ],
)
def test_what_may_take_too_long_is_refused(text, most, inner):
    assert said(nested(most, text, inner)) == []
    assert said(nested(most + 1, text, inner)) == ["Forbidden: too complex, exceeds cost limit"]
