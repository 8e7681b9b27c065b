"""The functions that Kubernetes adds to CEL: lists, sets, regular expressions, quantities, addresses.

`indexOf` and `lastIndexOf` are not there for lists, `string` not for addresses: the compiler takes no second
declaration of a name that it knows.
Source: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import cache
from typing import Any

from heeler.objects.quantities import Quantity, parse

QUANTITY, ADDRESS, NETWORK = "kubernetes.Quantity", "net.IP", "net.CIDR"
_TEXT = 9  # FieldDescriptorProto.TYPE_STRING
_OPTIONAL = 1  # FieldDescriptorProto.LABEL_OPTIONAL


def new_pool() -> Any:
    """A pool with the well-known types and the types of the library."""
    from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for module in (struct_pb2, timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for name in (QUANTITY, ADDRESS, NETWORK):
        package, _, short = name.rpartition(".")
        file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=package, syntax="proto3")
        file.message_type.add(name=short).field.add(name="text", number=1, type=_TEXT, label=_OPTIONAL)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


@cache
def descriptors() -> Any:
    """The pool for environments without types of their own."""
    return new_pool()


@cache
def extensions() -> list[Any]:
    from cel_expr_python.ext import ext_bindings, ext_optional, ext_strings

    return [ext_strings.ExtStrings(2), ext_optional.ExtOptional(), ext_bindings.ExtBindings()]


@cache
def _message(name: str) -> Any:
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(descriptors().FindMessageTypeByName(name))


def _of(name: str, text: str) -> Any:
    return _message(name)(text=text)


@cache
def functions() -> list[Any]:
    """Declarations with what they do, for an environment."""
    from cel_expr_python import cel

    kinds = cel.Type
    anything, items = kinds.DYN, kinds.List(kinds.DYN)
    quantity, address, network = kinds(QUANTITY), kinds(ADDRESS), kinds(NETWORK)
    rows: list[tuple[str, bool, Any, list[Any], Callable[..., Any]]] = [
        ("isSorted", True, kinds.BOOL, [items], lambda given: given == sorted(given)),
        ("sum", True, anything, [items], sum),
        ("min", True, anything, [items], min),
        ("max", True, anything, [items], max),
        ("sets.contains", False, kinds.BOOL, [items, items], lambda a, b: all(x in a for x in b)),
        ("sets.intersects", False, kinds.BOOL, [items, items], lambda a, b: any(x in a for x in b)),
        ("sets.equivalent", False, kinds.BOOL, [items, items], _equivalent),
        ("find", True, kinds.STRING, [kinds.STRING, kinds.STRING], _find),
        ("findAll", True, kinds.List(kinds.STRING), [kinds.STRING, kinds.STRING], _find_all),
        ("findAll", True, kinds.List(kinds.STRING), [kinds.STRING, kinds.STRING, kinds.INT], _find_all),
    ]
    rows += _quantities(kinds, quantity) + _addresses(kinds, address, network)
    found: dict[str, list[Any]] = {}
    for at, (name, member, returns, parameters, does) in enumerate(rows):
        found.setdefault(name, []).append(cel.Overload(f"k8s_{at}_{name}", returns, parameters, member, does))
    return [cel.FunctionDecl(name, overloads) for name, overloads in found.items()]


def _quantities(kinds: Any, quantity: Any) -> list[tuple[str, bool, Any, list[Any], Callable[..., Any]]]:
    two = [quantity, quantity]
    return [
        ("quantity", False, quantity, [kinds.STRING], lambda text: _of(QUANTITY, _checked(text))),
        ("isQuantity", False, kinds.BOOL, [kinds.STRING], _is_quantity),
        ("sign", True, kinds.INT, [quantity], lambda a: (_nano(a) > 0) - (_nano(a) < 0)),
        ("isInteger", True, kinds.BOOL, [quantity], lambda a: _nano(a) % 10**9 == 0),
        ("asInteger", True, kinds.INT, [quantity], _as_integer),
        ("asApproximateFloat", True, kinds.DOUBLE, [quantity], lambda a: _nano(a) / 10**9),
        ("isGreaterThan", True, kinds.BOOL, two, lambda a, b: _nano(a) > _nano(b)),
        ("isLessThan", True, kinds.BOOL, two, lambda a, b: _nano(a) < _nano(b)),
        ("compareTo", True, kinds.INT, two, lambda a, b: (_nano(a) > _nano(b)) - (_nano(a) < _nano(b))),
        ("add", True, quantity, two, lambda a, b: _sum(a, _nano(b))),
        ("sub", True, quantity, two, lambda a, b: _sum(a, -_nano(b))),
        ("add", True, quantity, [quantity, kinds.INT], lambda a, b: _sum(a, b * 10**9)),
        ("sub", True, quantity, [quantity, kinds.INT], lambda a, b: _sum(a, -b * 10**9)),
    ]


def _addresses(kinds: Any, address: Any, network: Any) -> list[tuple[str, bool, Any, list[Any], Callable[..., Any]]]:
    return [
        ("ip", False, address, [kinds.STRING], lambda text: _of(ADDRESS, str(ipaddress.ip_address(text)))),
        ("isIP", False, kinds.BOOL, [kinds.STRING], _is_address),
        ("ip.isCanonical", False, kinds.BOOL, [kinds.STRING], lambda text: str(ipaddress.ip_address(text)) == text),
        ("family", True, kinds.INT, [address], lambda a: _ip(a).version),
        ("isLoopback", True, kinds.BOOL, [address], lambda a: _ip(a).is_loopback),
        ("isUnspecified", True, kinds.BOOL, [address], lambda a: _ip(a).is_unspecified),
        ("isLinkLocalUnicast", True, kinds.BOOL, [address], lambda a: _ip(a).is_link_local),
        ("isLinkLocalMulticast", True, kinds.BOOL, [address], _is_local_multicast),
        ("isGlobalUnicast", True, kinds.BOOL, [address], _is_global_unicast),
        ("cidr", False, network, [kinds.STRING], lambda text: _of(NETWORK, _checked_network(text))),
        ("isCIDR", False, kinds.BOOL, [kinds.STRING], _is_network),
        ("ip", True, address, [network], lambda a: _of(ADDRESS, a.text.partition("/")[0])),
        ("prefixLength", True, kinds.INT, [network], lambda a: _net(a).prefixlen),
        ("masked", True, network, [network], lambda a: _of(NETWORK, str(_net(a)))),
        ("containsIP", True, kinds.BOOL, [network, address], lambda a, b: _ip(b) in _net(a)),
        ("containsIP", True, kinds.BOOL, [network, kinds.STRING], lambda a, b: ipaddress.ip_address(b) in _net(a)),
        ("containsCIDR", True, kinds.BOOL, [network, network], lambda a, b: _inside(a.text, b.text)),
        ("containsCIDR", True, kinds.BOOL, [network, kinds.STRING], lambda a, b: _inside(a.text, b)),
    ]


def _equivalent(a: list[Any], b: list[Any]) -> bool:
    return all(x in a for x in b) and all(x in b for x in a)


def _find(text: str, pattern: str) -> str:
    import re2

    found = re2.search(pattern, text)
    return found.group() if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    import re2

    found = [match.group() for match in re2.finditer(pattern, text)]
    return found if limit < 0 else found[:limit]


def _checked(text: str) -> str:
    parse(text)
    return text


def _is_quantity(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _nano(quantity: Any) -> int:
    return parse(quantity.text).nano


def _as_integer(quantity: Any) -> int:
    whole, rest = divmod(_nano(quantity), 10**9)
    if rest:
        raise ValueError("cannot convert value to integer")
    return whole


def _sum(quantity: Any, nano: int) -> Any:
    first = parse(quantity.text)
    return _of(QUANTITY, str(Quantity(first.nano + nano, first.family)))


def _ip(address: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address.text)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_local_multicast(address: Any) -> bool:
    ip = _ip(address)
    if ip.version == 4:
        return ip in ipaddress.ip_network("224.0.0.0/24")
    return ip in ipaddress.ip_network("ff02::/16")


def _is_global_unicast(address: Any) -> bool:
    ip = _ip(address)
    special = ip.is_multicast or ip.is_loopback or ip.is_link_local or ip.is_unspecified
    return not special and str(ip) != "255.255.255.255"


def _net(network: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(network.text, strict=False)


def _checked_network(text: str) -> str:
    if "/" not in text:
        raise ValueError(f"network address parse error during conversion from string: {text}")
    ipaddress.ip_network(text, strict=False)
    return text


def _is_network(text: str) -> bool:
    try:
        _checked_network(text)
    except ValueError:
        return False
    return True


def _inside(outer: str, inner: str) -> bool:
    a, b = ipaddress.ip_network(outer, strict=False), ipaddress.ip_network(inner, strict=False)
    return a.version == b.version and b.subnet_of(a)  # type: ignore[arg-type]
