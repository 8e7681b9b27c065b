"""The functions that Kubernetes adds to CEL: lists, sets, regular expressions, quantities, addresses, versions, URLs, formats.

One row says what the compiler is told of a function and what the evaluation does. The compiler takes no second
declaration of the standard's names: `string` of an address is compiled only where its type is not known (`dyn(ip)`).
Source: https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import cache, cmp_to_key
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from heeler.kinds.cel import rights, two_variables
from heeler.kinds.cel.formats import FORMATS
from heeler.kinds.cel.formatting import formatted
from heeler.kinds.cel.standard import STANDARD, Functions, Row, key_of, pattern_of, shown
from heeler.kinds.cel.values import (
    NOTHING,
    Address,
    EvaluationError,
    Format,
    Maybe,
    Network,
    Semver,
    Url,
    compare,
    equal,
    no_overload,
)
from heeler.objects.quantities import Quantity, parse

#: Types of values that only functions make, by the names that the compiler knows them by.
TYPES: dict[str, type] = {
    "kubernetes.Quantity": Quantity,
    "net.IP": Address,  # type: ignore[dict-item]
    "net.CIDR": Network,
    "kubernetes.Semver": Semver,
    "kubernetes.URL": Url,
    "kubernetes.NamedFormat": Format,
    **rights.TYPES,
}
_SHORT = {"quantity": "kubernetes.Quantity", "ip": "net.IP", "cidr": "net.CIDR", "semver": "kubernetes.Semver"}
_SHORT |= {"url": "kubernetes.URL", "format": "kubernetes.NamedFormat"} | rights.SHORT
#: Entries of maps and of lists, as the compiler knows them.
_ENTRY, _INDEXED = "heeler.Entry", "heeler.IndexedEntry"
#: FieldDescriptorProto's types.
_INTEGER, _TEXT, _MESSAGE = 3, 9, 11
_OPTIONAL = 1  # FieldDescriptorProto.LABEL_OPTIONAL

#: name, is it a member, type of the result, types of the arguments (a member's target is the first), what it does
Declared = tuple[str, bool, str, tuple[str, ...], Callable[..., Any]]


def _equivalent(a: list[Any], b: list[Any]) -> bool:
    return _contains(a, b) and _contains(b, a)


def _contains(a: list[Any], b: list[Any]) -> bool:
    return all(any(equal(x, y) for y in a) for x in b)


def _intersects(a: list[Any], b: list[Any]) -> bool:
    return any(any(equal(x, y) for y in a) for x in b)


def _is_sorted(given: list[Any]) -> bool:
    return all(compare(a, b) <= 0 for a, b in pairwise(given))


def _sum(given: list[Any]) -> Any:
    total: Any = 0
    for at, item in enumerate(given):
        total = item if at == 0 else functions().call("_+_", [total, item])
    return total


def _extreme(name: str, sign: int) -> Callable[[list[Any]], Any]:
    def does(given: list[Any]) -> Any:
        if not given:
            raise EvaluationError(f"{name} called on empty list")
        best = given[0]
        for item in given[1:]:
            best = item if _is_beyond(item, best, sign) else best
        return best

    return does


def _is_beyond(item: Any, best: Any, sign: int) -> bool:
    """What can't be compared is left out."""
    try:
        return compare(item, best) == sign
    except EvaluationError:
        return False


def _index_of(given: list[Any], item: Any) -> int:
    return next((at for at, other in enumerate(given) if equal(other, item)), -1)


def _last_index_of(given: list[Any], item: Any) -> int:
    return next((at for at in range(len(given) - 1, -1, -1) if equal(given[at], item)), -1)


def _slice(given: list[Any], start: int, end: int) -> list[Any]:
    why = ""
    if start < 0 or end < 0:
        why = "negative indexes not supported"
    elif start > end:
        why = "start index must be less than or equal to end index"
    elif len(given) < end:
        why = f"list is length {len(given)}"
    if why:
        raise EvaluationError(f"cannot slice({start}, {end}), {why}")
    return given[start:end]


def _flatten(given: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    out: list[Any] = []
    for item in given:
        if isinstance(item, list) and depth > 0:
            out += _flatten(item, depth - 1) if depth > 1 else item
        else:
            out.append(item)
    return out


def _range(size: int) -> list[int]:
    if size < 0:
        raise EvaluationError(f"lists.range: size must be non-negative, got {size}")
    if size > _MAX_RANGE:
        raise EvaluationError(f"lists.range: size {size} exceeds maximum allowed ({_MAX_RANGE})")
    return list(range(size))


def _reversed(given: list[Any]) -> list[Any]:
    return given[::-1]


def _distinct(given: list[Any]) -> list[Any]:
    out: list[Any] = []
    for item in given:
        if not any(equal(item, other) for other in out):
            out.append(item)
    return out


def _sorted(given: list[Any], keys: list[Any] | None = None) -> list[Any]:
    """By keys, if there are some. Raises EvaluationError for what has no order."""
    keys = given if keys is None else keys
    if any(type(key) is not type(keys[0]) for key in keys):
        raise EvaluationError("list elements must have the same type")
    found = keys

    def by_key(a: int, b: int) -> int:
        return compare(found[a], found[b])

    return [given[at] for at in sorted(range(len(given)), key=cmp_to_key(by_key))]


def _sorted_pairs(pairs: list[Any]) -> list[Any]:
    return _sorted([pair[1] for pair in pairs], [pair[0] for pair in pairs])


#: Items of a list that `lists.range` makes.
_MAX_RANGE = 1_000_000
_SUMMED = ("int", "uint", "double", "duration")
_ORDERED = (*_SUMMED, "bool", "timestamp", "string", "bytes")
_LISTS: tuple[Declared, ...] = (
    *(("isSorted", True, "bool", (f"list {item}",), _is_sorted) for item in _ORDERED),
    *(("sum", True, item, (f"list {item}",), _sum) for item in _SUMMED),
    *(("min", True, item, (f"list {item}",), _extreme("min", -1)) for item in _ORDERED),
    *(("max", True, item, (f"list {item}",), _extreme("max", 1)) for item in _ORDERED),
    ("slice", True, "list", ("list", "int", "int"), _slice),
    ("flatten", True, "list", ("list",), _flatten),
    ("flatten", True, "list", ("list", "int"), _flatten),
    ("lists.range", False, "list int", ("int",), _range),
    ("reverse", True, "list", ("list",), _reversed),
    ("distinct", True, "list", ("list",), _distinct),
    *(("sort", True, f"list {item}", (f"list {item}",), _sorted) for item in _ORDERED),
    (two_variables.SORTED, True, "list", ("list",), _sorted_pairs),
    ("sets.contains", False, "bool", ("list", "list"), _contains),
    ("sets.intersects", False, "bool", ("list", "list"), _intersects),
    ("sets.equivalent", False, "bool", ("list", "list"), _equivalent),
)


def _pattern(pattern: str) -> Any:
    """Raises EvaluationError."""
    try:
        return pattern_of(pattern)
    except EvaluationError as error:
        raise EvaluationError(f"Illegal regex: {error}") from None


def _find(text: str, pattern: str) -> str:
    found = _pattern(pattern).search(text)
    return str(found.group()) if found else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in _pattern(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]


_PATTERNS: tuple[Declared, ...] = (
    ("find", True, "string", ("string", "string"), _find),
    ("findAll", True, "strings", ("string", "string"), _find_all),
    ("findAll", True, "strings", ("string", "string", "int"), _find_all),
)


def _quantity(text: str) -> Quantity:
    try:
        return parse(text)
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _does(make: Callable[[str], Any]) -> Callable[[str], bool]:
    """Is a text one that `make` takes?"""

    def check(text: str) -> bool:
        try:
            make(text)
        except ValueError:
            return False
        return True

    return check


def _as_integer(quantity: Quantity) -> int:
    whole, rest = divmod(quantity.nano, 10**9)
    if rest or not -(1 << 63) <= whole < 1 << 63:
        raise EvaluationError("cannot convert value to integer")
    return whole


def _plus(quantity: Quantity, nano: int) -> Quantity:
    return Quantity(quantity.nano + nano, quantity.family)


_QUANTITIES: tuple[Declared, ...] = (
    ("quantity", False, "quantity", ("string",), _quantity),
    ("isQuantity", False, "bool", ("string",), _does(_quantity)),
    ("sign", False, "int", ("quantity",), lambda a: (a.nano > 0) - (a.nano < 0)),
    ("isInteger", True, "bool", ("quantity",), lambda a: a.nano % 10**9 == 0),
    ("asInteger", True, "int", ("quantity",), _as_integer),
    ("asApproximateFloat", True, "double", ("quantity",), lambda a: a.nano / 10**9),
    ("isGreaterThan", True, "bool", ("quantity", "quantity"), lambda a, b: a.nano > b.nano),
    ("isLessThan", True, "bool", ("quantity", "quantity"), lambda a, b: a.nano < b.nano),
    ("compareTo", True, "int", ("quantity", "quantity"), lambda a, b: (a.nano > b.nano) - (a.nano < b.nano)),
    ("add", True, "quantity", ("quantity", "quantity"), lambda a, b: _plus(a, b.nano)),
    ("sub", True, "quantity", ("quantity", "quantity"), lambda a, b: _plus(a, -b.nano)),
    ("add", True, "quantity", ("quantity", "int"), lambda a, b: _plus(a, b * 10**9)),
    ("sub", True, "quantity", ("quantity", "int"), lambda a, b: _plus(a, -b * 10**9)),
)


def _address(text: str) -> Address:
    """Addresses within others (::ffff:1.2.3.4) and zones are refused. Raises EvaluationError."""
    words = f'IP Address "{text}" parse error during conversion from string: '
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise EvaluationError(f'{words}ParseAddr("{text}"): unable to parse IP') from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id:
            raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
        if found.ipv4_mapped:
            raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return found


def _network(text: str) -> Network:
    """Raises EvaluationError."""
    words = 2 * "network address parse error during conversion from string: "
    address, slash, prefix = text.rpartition("/")
    why = ""
    if not slash:
        why = "no '/'"
    elif not prefix.isdigit() or (len(prefix) > 1 and prefix[0] == "0"):
        why = f'bad bits after slash: "{prefix}"'
    elif not _does(ipaddress.ip_address)(address):
        why = f'ParseAddr("{address}"): unable to parse IP'
    elif not _does(ipaddress.ip_interface)(text):
        why = "prefix length out of range"
    if why:
        raise EvaluationError(f'{words}netip.ParsePrefix("{text}"): {why}')
    found = ipaddress.ip_interface(text)
    if isinstance(found, ipaddress.IPv6Interface) and found.ip.ipv4_mapped:
        raise EvaluationError(f'IPv4-mapped IPv6 address "{address}" is not allowed')
    return Network(found.ip, found.network.prefixlen)


_LOCAL_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))


def _is_global_unicast(ip: Address) -> bool:
    special = ip.is_multicast or ip.is_loopback or ip.is_link_local or ip.is_unspecified
    return not special and str(ip) != "255.255.255.255"


def _inside(outer: Network, inner: Network) -> bool:
    within, network = inner.masked, outer.masked
    return within.version == network.version and within.subnet_of(network)  # type: ignore[arg-type]


def _fitting(make: Callable[[str], Any], text: str) -> Any:
    """Raises EvaluationError for a text that is none."""
    try:
        return make(text)
    except EvaluationError:
        raise no_overload() from None


_ADDRESSES: tuple[Declared, ...] = (
    ("ip", False, "ip", ("string",), _address),
    ("isIP", False, "bool", ("string",), _does(_address)),
    ("ip.isCanonical", False, "bool", ("string",), lambda text: str(_address(text)) == text),
    ("family", True, "int", ("ip",), lambda a: a.version),
    ("isLoopback", True, "bool", ("ip",), lambda a: a.is_loopback),
    ("isUnspecified", True, "bool", ("ip",), lambda a: a.is_unspecified),
    ("isLinkLocalUnicast", True, "bool", ("ip",), lambda a: a.is_link_local),
    ("isLinkLocalMulticast", True, "bool", ("ip",), lambda a: any(a in network for network in _LOCAL_MULTICAST)),
    ("isGlobalUnicast", True, "bool", ("ip",), _is_global_unicast),
    ("cidr", False, "cidr", ("string",), _network),
    ("isCIDR", False, "bool", ("string",), _does(_network)),
    ("ip", True, "ip", ("cidr",), lambda a: a.address),
    ("prefixLength", True, "int", ("cidr",), lambda a: a.prefix),
    ("masked", True, "cidr", ("cidr",), lambda a: Network(a.masked.network_address, a.prefix)),
    ("containsIP", True, "bool", ("cidr", "ip"), lambda a, b: b in a.masked),
    ("containsIP", True, "bool", ("cidr", "string"), lambda a, b: _fitting(_address, b) in a.masked),
    ("containsCIDR", True, "bool", ("cidr", "cidr"), _inside),
    ("containsCIDR", True, "bool", ("cidr", "string"), lambda a, b: _inside(a, _fitting(_network, b))),
)


def semver(text: str) -> Semver:
    """A version as a value of expressions. Raises EvaluationError."""
    return _semver(text)


_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)


def _semver(text: str, normalize: bool = False) -> Semver:
    """`normalize` takes a leading "v", missing parts and leading zeros. Raises EvaluationError."""
    given = text
    if normalize:
        core, sign, rest = re.fullmatch(r"([^-+]*)([-+]?)(.*)", text.removeprefix("v"), re.DOTALL).groups()  # type: ignore[union-attr]
        parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in core.split(".")]
        given = ".".join([*parts, *["0"] * (3 - len(parts))]) + sign + rest
    found = _SEMVER.fullmatch(given)
    if found is None:
        raise EvaluationError(_semver_fault(given))
    # a pre-release stands before its release, numbers before words
    before = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in (found[4] or "").split(".") if p)
    return Semver(given, (int(found[1]), int(found[2]), int(found[3]), not before, before))


def _semver_fault(text: str) -> str:
    parts = text.split(".", 2)
    if len(parts) != 3:
        return "No Major.Minor.Patch elements found"
    patch, *_ = re.split("[-+]", parts[2], maxsplit=1)
    for name, part in zip(("major", "minor", "patch"), (*parts[:2], patch), strict=True):
        if not (part.isascii() and part.isdigit()):
            return f'Invalid character(s) found in {name} number "{part}"'
        if len(part) > 1 and part[0] == "0":
            return f'{name.capitalize()} number must not contain leading zeroes "{part}"'
    return f'Invalid character(s) found in "{parts[2]}"'


_VERSIONS: tuple[Declared, ...] = (
    ("semver", False, "semver", ("string",), _semver),
    ("semver", False, "semver", ("string", "bool"), _semver),
    ("isSemver", False, "bool", ("string",), _does(_semver)),
    ("isSemver", False, "bool", ("string", "bool"), lambda a, b: _does(lambda text: _semver(text, b))(a)),
    ("major", True, "int", ("semver",), lambda a: a.key[0]),
    ("minor", True, "int", ("semver",), lambda a: a.key[1]),
    ("patch", True, "int", ("semver",), lambda a: a.key[2]),
    ("isGreaterThan", True, "bool", ("semver", "semver"), lambda a, b: a.key > b.key),
    ("isLessThan", True, "bool", ("semver", "semver"), lambda a, b: a.key < b.key),
    ("compareTo", True, "int", ("semver", "semver"), lambda a, b: (a.key > b.key) - (a.key < b.key)),
)


def _url(text: str) -> Url:
    """An absolute URI or an absolute path. Raises EvaluationError."""
    words = f'URL parse error during conversion from string: parse "{text}": '
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for a port that is no number
    except ValueError as error:
        why = "missing ']' in host" if "IPv6" in str(error) else "invalid URL"
        raise EvaluationError(f"{words}{why}") from None
    if any(char < " " or char == "\x7f" for char in text):
        raise EvaluationError(f"{words}net/url: invalid control character in URL")
    if not (parts.scheme or text.startswith("/")):
        raise EvaluationError(f"{words}invalid URI for request")
    return Url(text)


_URLS: tuple[Declared, ...] = (
    ("url", False, "url", ("string",), _url),
    ("isURL", False, "bool", ("string",), _does(_url)),
    ("getScheme", True, "string", ("url",), lambda a: urlsplit(a.text).scheme),
    ("getHost", True, "string", ("url",), lambda a: urlsplit(a.text).netloc.rpartition("@")[2]),
    ("getHostname", True, "string", ("url",), lambda a: urlsplit(a.text).hostname or ""),
    ("getPort", True, "string", ("url",), lambda a: str(urlsplit(a.text).port or "")),
    ("getEscapedPath", True, "string", ("url",), lambda a: quote(urlsplit(a.text).path, safe="/%:@!$&'()*+,;=~")),
    ("getQuery", True, "queries", ("url",), lambda a: parse_qs(urlsplit(a.text).query, keep_blank_values=True)),
)


def _named(name: str) -> Maybe:
    found = FORMATS.get(name)
    return NOTHING if found is None else Maybe(True, found)


def _validated(format: Format, text: str) -> Maybe:
    wrong = format.check(text)
    return Maybe(True, list(wrong)) if wrong else NOTHING


#: Optional values that functions give are dyn to the compiler: it has no name for them that it takes as such.
_FORMATS: tuple[Declared, ...] = (
    *((f"format.{name}", False, "format", (), lambda found=found: found) for name, found in FORMATS.items()),
    ("format.named", False, "dyn", ("string",), _named),
    ("validate", True, "dyn", ("format", "string"), _validated),
)


def _escaped_key(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _to_map(pairs: list[Any]) -> dict[Any, Any]:
    return {key_of(key): value for key, value in pairs}


def _merged(maps: list[Any]) -> dict[Any, Any]:
    """One map of several. Raises EvaluationError for a key that comes twice."""
    out: dict[Any, Any] = {}
    for one in maps:
        for key, value in one.items():
            if key in out:
                raise EvaluationError(f"insert failed: key {shown(key)} already exists")
            out[key] = value
    return out


#: What macros with two variables need. Entries are for the compiler alone.
_TWO_VARIABLES: tuple[Declared, ...] = (
    (two_variables.ENTRIES, True, "list entry", ("map",), no_overload),
    (two_variables.ENTRIES, True, "list indexed", ("list",), no_overload),
    (two_variables.TO_MAP, True, "map", ("list",), _to_map),
    (two_variables.MERGED, True, "map", ("list",), _merged),
)

_PATCHES: tuple[Declared, ...] = (("jsonpatch.escapeKey", False, "string", ("string",), _escaped_key),)

#: The extension for texts: name, type of the result, types of the arguments. `standard.py` evaluates them.
_TEXTS: tuple[tuple[str, bool, str, tuple[str, ...]], ...] = (
    ("charAt", True, "string", ("string", "int")),
    ("indexOf", True, "int", ("string", "string")),
    ("indexOf", True, "int", ("string", "string", "int")),
    ("indexOf", True, "int", ("list", "dyn")),
    ("lastIndexOf", True, "int", ("string", "string")),
    ("lastIndexOf", True, "int", ("string", "string", "int")),
    ("lastIndexOf", True, "int", ("list", "dyn")),
    ("join", True, "string", ("strings",)),
    ("join", True, "string", ("strings", "string")),
    ("lowerAscii", True, "string", ("string",)),
    ("upperAscii", True, "string", ("string",)),
    ("replace", True, "string", ("string", "string", "string")),
    ("replace", True, "string", ("string", "string", "string", "int")),
    ("split", True, "strings", ("string", "string")),
    ("split", True, "strings", ("string", "string", "int")),
    ("substring", True, "string", ("string", "int")),
    ("substring", True, "string", ("string", "int", "int")),
    ("trim", True, "string", ("string",)),
    ("format", True, "string", ("string", "list")),
    ("strings.quote", False, "string", ("string",)),
)

_COMPARABLE = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
_NUMERIC = ("int", "uint", "double")
#: Functions of the standard that have more types with Kubernetes: they are taken out of it and declared anew.
_EXTENDED: tuple[tuple[str, bool, str, tuple[str, ...]], ...] = (
    *(("string", False, "string", (kind,)) for kind in (*_COMPARABLE, "ip", "cidr")),
    *(
        (operator, False, "bool", (one, other))
        for operator in ("_<_", "_<=_", "_>_", "_>=_")
        for one in _COMPARABLE
        for other in (_NUMERIC if one in _NUMERIC else (one,))
    ),
    ("optional.unwrap", False, "list", ("list",)),
    ("unwrapOpt", True, "list", ("list",)),
)
#: Overloads whose names say something to those who count costs.
_KNOWN: dict[tuple[str, tuple[str, ...]], str] = {
    ("string", ("bytes",)): "bytes_to_string",
    **{
        (operator, (kind, kind)): f"{name}_{kind}"
        for operator, name in (("_<_", "less"), ("_<=_", "less_equals"), ("_>_", "greater"), ("_>=_", "greater_equals"))
        for kind in ("string", "bytes")
    },
}

DECLARED: tuple[Declared, ...] = (
    *_LISTS,
    *_PATTERNS,
    *_QUANTITIES,
    *_ADDRESSES,
    *_VERSIONS,
    *_URLS,
    *_FORMATS,
    *_TWO_VARIABLES,
    *rights.DECLARED,
)


def _class(name: str) -> type:
    plain: dict[str, type] = {"string": str, "int": int, "bool": bool, "list": list, "map": dict, "dyn": object}
    return list if name.startswith("list ") else plain.get(name) or TYPES[_SHORT[name]]


#: More types for functions of the standard, and what would be out of place there.
_MORE: tuple[Row, ...] = (
    ("indexOf", (list, object), _index_of),
    ("lastIndexOf", (list, object), _last_index_of),
    ("string", (ipaddress.IPv4Address,), str),
    ("string", (ipaddress.IPv6Address,), str),
    ("string", (Network,), str),
    ("format", (str, list), formatted),
)


@cache
def functions() -> Functions:
    """All functions, as they are evaluated."""
    own: list[Row] = [(row[0], tuple(map(_class, row[3])), row[4]) for row in (*DECLARED, *_PATCHES)]
    return Functions(STANDARD, own, _MORE)


def new_pool() -> Any:
    """A pool with the well-known types and the types of the library."""
    from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, struct_pb2, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for module in (struct_pb2, timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    entries = descriptor_pb2.FileDescriptorProto(
        name="entries.proto", package="heeler", syntax="proto3", dependency=["google/protobuf/struct.proto"]
    )
    for name, key in ((_ENTRY, _MESSAGE), (_INDEXED, _INTEGER)):
        message = entries.message_type.add(name=name.removeprefix("heeler."))
        for number, (field, kind) in enumerate(((two_variables.KEY, key), (two_variables.VALUE, _MESSAGE)), 1):
            row = message.field.add(name=field, number=number, type=kind, label=_OPTIONAL)
            if kind == _MESSAGE:
                row.type_name = ".google.protobuf.Value"
    pool.AddSerializedFile(entries.SerializeToString())
    for name in TYPES:
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
def standard() -> Any:
    """The configuration of an environment: the standard without what is declared anew."""
    from heeler.kinds.cel.runtime import runtime

    names = dict.fromkeys(row[0] for row in _EXTENDED if not row[0].startswith(("optional", "unwrap")))
    rows = "".join(f'  - name: "{name}"\n' for name in names)
    return runtime().NewEnvConfigFromYaml(f"stdlib:\n  exclude_functions:\n{rows}")


@cache
def extensions(bindings: bool = False) -> list[Any]:
    """`bindings`: with `cel.bind`, which writers of expressions don't have."""
    from cel_expr_python.ext import ext_bindings, ext_optional

    return [ext_optional.ExtOptional(), *([ext_bindings.ExtBindings()] if bindings else [])]


@cache
def declarations(patches: bool = False) -> list[Any]:
    """What the compiler is told of the functions. `patches`: those of mutating policies too."""
    from heeler.kinds.cel.runtime import runtime

    cel = runtime()
    kinds = cel.Type
    strings = kinds.List(kinds.STRING)
    plain = {"string": kinds.STRING, "int": kinds.INT, "bool": kinds.BOOL, "double": kinds.DOUBLE, "dyn": kinds.DYN}
    plain |= {"list": kinds.List(kinds.DYN), "strings": strings, "queries": kinds.Map(kinds.STRING, strings)}
    plain |= {short: kinds(name) for short, name in _SHORT.items()}
    plain |= {"uint": kinds.UINT, "bytes": kinds.BYTES, "duration": kinds.DURATION, "timestamp": kinds.TIMESTAMP}
    plain |= {f"list {item}": kinds.List(plain[item]) for item in _ORDERED}
    plain["map"] = kinds.Map(kinds.DYN, kinds.DYN)
    plain |= {"list entry": kinds.List(kinds(_ENTRY)), "list indexed": kinds.List(kinds(_INDEXED))}
    found: dict[str, list[Any]] = {}
    own = [row[:4] for row in (*DECLARED, *(_PATCHES if patches else ()))]
    for name, member, returns, parameters in (*_EXTENDED, *_TEXTS, *own):
        overload = cel.Overload(
            _KNOWN.get((name, parameters)) or f"k8s_{name}_{'_'.join(parameters).replace(' ', '_')}",
            return_type=plain[returns],
            parameters=[plain[parameter] for parameter in parameters],
            is_member=member,
        )
        found.setdefault(name, []).append(overload)
    return [cel.FunctionDecl(name, overloads) for name, overloads in found.items()]
