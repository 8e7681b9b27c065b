"""The functions that Kubernetes adds to CEL: lists, sets, regular expressions, quantities, addresses, versions, URLs.

`indexOf` and `lastIndexOf` are not there for lists, `string` not for addresses: the compiler takes no second
declaration of a name that it knows.
Source: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from heeler.objects.quantities import Quantity, parse

QUANTITY, ADDRESS, NETWORK = "kubernetes.Quantity", "net.IP", "net.CIDR"
SEMVER, URL = "kubernetes.Semver", "kubernetes.URL"
AUTHORIZER = "kubernetes.authorization.Authorizer"
PATH_CHECK, GROUP_CHECK = "kubernetes.authorization.PathCheck", "kubernetes.authorization.GroupCheck"
RESOURCE_CHECK, DECISION = "kubernetes.authorization.ResourceCheck", "kubernetes.authorization.Decision"
_OWN = (QUANTITY, ADDRESS, NETWORK, SEMVER, URL, AUTHORIZER, PATH_CHECK, GROUP_CHECK, RESOURCE_CHECK, DECISION)
_TEXT = 9  # FieldDescriptorProto.TYPE_STRING
_OPTIONAL = 1  # FieldDescriptorProto.LABEL_OPTIONAL


def new_pool() -> Any:
    """A pool with the well-known types and the types of the library."""
    from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for module in (struct_pb2, timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for name in _OWN:
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
    from heeler.kinds.cel.runtime import runtime

    cel = runtime()

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
    rows += _versions(kinds, kinds(SEMVER)) + _urls(kinds, kinds(URL)) + _rights(kinds)
    found: dict[str, list[Any]] = {}
    # The evaluation tells messages apart by nothing but that: one function serves all that look the same to it.
    alike: dict[tuple[Any, ...], dict[str, Callable[..., Any]]] = {}
    for at, (name, member, returns, parameters, does) in enumerate(rows):
        first = parameters[0].name()
        shape = (name, member, *("message" if kind.name() in _OWN else kind.name() for kind in parameters))
        known = alike.setdefault(shape, {})
        known[first] = does
        more = {} if len(known) > 1 else {"impl": _by_message(known) if first in _OWN else does}
        found.setdefault(name, []).append(
            cel.Overload(f"k8s_{at}_{name}", return_type=returns, parameters=parameters, is_member=member, **more)
        )
    return [cel.FunctionDecl(name, overloads) for name, overloads in found.items()]


def _by_message(known: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function that the first argument's type asks for."""

    def does(first: Any, *rest: Any) -> Any:
        name = first.DESCRIPTOR.full_name
        if name not in known:
            raise ValueError("no such overload")
        return known[name](first, *rest)

    return does


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


def _versions(kinds: Any, semver: Any) -> list[tuple[str, bool, Any, list[Any], Callable[..., Any]]]:
    two = [semver, semver]
    return [
        ("semver", False, semver, [kinds.STRING], lambda text: _of(SEMVER, _checked_version(text))),
        ("isSemver", False, kinds.BOOL, [kinds.STRING], lambda text: _SEMVER.fullmatch(text) is not None),
        ("major", True, kinds.INT, [semver], lambda a: _version(a)[0]),
        ("minor", True, kinds.INT, [semver], lambda a: _version(a)[1]),
        ("patch", True, kinds.INT, [semver], lambda a: _version(a)[2]),
        ("isGreaterThan", True, kinds.BOOL, two, lambda a, b: _version(a) > _version(b)),
        ("isLessThan", True, kinds.BOOL, two, lambda a, b: _version(a) < _version(b)),
        ("compareTo", True, kinds.INT, two, lambda a, b: (_version(a) > _version(b)) - (_version(a) < _version(b))),
    ]


def _urls(kinds: Any, url: Any) -> list[tuple[str, bool, Any, list[Any], Callable[..., Any]]]:
    return [
        ("url", False, url, [kinds.STRING], lambda text: _of(URL, _checked_url(text))),
        ("isURL", False, kinds.BOOL, [kinds.STRING], _is_url),
        ("getScheme", True, kinds.STRING, [url], lambda a: urlsplit(a.text).scheme),
        ("getHost", True, kinds.STRING, [url], lambda a: urlsplit(a.text).netloc.rpartition("@")[2]),
        ("getHostname", True, kinds.STRING, [url], lambda a: urlsplit(a.text).hostname or ""),
        ("getPort", True, kinds.STRING, [url], lambda a: str(urlsplit(a.text).port or "")),
        ("getEscapedPath", True, kinds.STRING, [url], lambda a: quote(urlsplit(a.text).path, safe="/%:@!$&'()*+,;=~")),
        (
            "getQuery",
            True,
            kinds.Map(kinds.STRING, kinds.List(kinds.STRING)),
            [url],
            lambda a: parse_qs(urlsplit(a.text).query, keep_blank_values=True),
        ),
    ]


@dataclass(frozen=True, slots=True)
class Question:
    """A question about rights. `user`: a service account's name, or "" for whoever made the request."""

    verb: str
    user: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(slots=True)
class Rights:
    """Answers that are known (allowed, why), and questions that had none: the evaluation fails then."""

    answers: dict[Question, tuple[bool, str]] = field(default_factory=dict)
    open: list[Question] = field(default_factory=list)


#: Whom expressions ask for rights, while one is evaluated.
RIGHTS: ContextVar[Rights | None] = ContextVar("rights", default=None)


def authorizer() -> Any:
    """The value of the variable `authorizer`."""
    return _of(AUTHORIZER, "{}")


def request_resource(group: str, resource: str, subresource: str, namespace: str, name: str) -> Any:
    """The value of the variable `authorizer.requestResource`."""
    parts = {"group": group, "resource": resource, "subresource": subresource, "namespace": namespace, "name": name}
    return _of(RESOURCE_CHECK, json.dumps(parts))


def _rights(kinds: Any) -> list[tuple[str, bool, Any, list[Any], Callable[..., Any]]]:
    """Questions about rights are put together step by step, then asked by `check`."""
    text, who, resource, decision = kinds.STRING, kinds(AUTHORIZER), kinds(RESOURCE_CHECK), kinds(DECISION)
    path, group = kinds(PATH_CHECK), kinds(GROUP_CHECK)
    steps = [
        (key, True, resource, [resource, text], _step(RESOURCE_CHECK, key))
        for key in ("subresource", "namespace", "name", "fieldSelector", "labelSelector")
    ]
    return [
        ("path", True, path, [who, text], _step(PATH_CHECK, "path")),
        ("group", True, group, [who, text], _step(GROUP_CHECK, "group")),
        ("serviceAccount", True, who, [who, text, text], _service_account),
        ("resource", True, resource, [group, text], _step(RESOURCE_CHECK, "resource")),
        *steps,
        ("check", True, decision, [path, text], _check),
        ("check", True, decision, [resource, text], _check),
        ("allowed", True, kinds.BOOL, [decision], lambda a: json.loads(a.text)["allowed"]),
        ("reason", True, text, [decision], lambda a: json.loads(a.text)["reason"]),
        ("errored", True, kinds.BOOL, [decision], lambda a: False),
        ("error", True, text, [decision], lambda a: ""),
    ]


def _step(name: str, key: str) -> Callable[[Any, str], Any]:
    return lambda given, value: _of(name, json.dumps({**json.loads(given.text), key: value}))


def _service_account(_: Any, namespace: str, name: str) -> Any:
    return _of(AUTHORIZER, json.dumps({"user": f"system:serviceaccount:{namespace}:{name}"}))


def _check(given: Any, verb: str) -> Any:
    """Raises ValueError if nobody knows the answer."""
    rights = RIGHTS.get()
    parts = json.loads(given.text)
    if rights is None or "fieldSelector" in parts or "labelSelector" in parts:
        raise ValueError("questions to the authorizer with selectors are not answered by this version of Heeler")
    question = Question(verb, **parts)
    if question not in rights.answers:
        rights.open.append(question)
        raise ValueError("the authorizer was not asked yet")
    allowed, reason = rights.answers[question]
    return _of(DECISION, json.dumps({"allowed": allowed, "reason": reason}))


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


def _checked_version(text: str) -> str:
    if _SEMVER.fullmatch(text) is None:
        raise ValueError(f"semantic version parse error: {text}")
    return text


def _version(semver: Any) -> tuple[Any, ...]:
    """What versions are compared by: a pre-release stands before its release, numbers before words."""
    found = _SEMVER.fullmatch(semver.text)
    assert found is not None
    before = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in (found[4] or "").split(".") if p]
    return int(found[1]), int(found[2]), int(found[3]), not before, before


def _checked_url(text: str) -> str:
    parts = urlsplit(text)
    if not (parts.scheme or text.startswith("/")) or any(char <= " " for char in text):
        raise ValueError(f"URL parse error during conversion from string: {text}")
    return text


def _is_url(text: str) -> bool:
    try:
        _checked_url(text)
    except ValueError:
        return False
    return True


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
