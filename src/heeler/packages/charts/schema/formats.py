"""JSON schema's formats, with what is wrong where a text isn't of one. Formats that aren't here are not looked at."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date as calendar_date
from typing import Any

from heeler.packages.charts.chart import ChartError


class _Wrong(Exception):
    """Why a text isn't of the format."""


class Pattern:
    """A regular expression of Go's kind."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def search(self, text: str) -> bool:
        return self._compiled.search(text.encode("utf-8", "surrogateescape")) is not None


def compile_pattern(text: str) -> Pattern:
    """Raises `ChartError` in the words of Go's regexp."""
    from heeler.packages.functions.regex import compiled
    from heeler.packages.template.values import GoError

    try:
        return Pattern(compiled(text))
    except GoError as error:
        raise ChartError(str(error)) from None


def fault_of(name: str, text: str) -> str:
    """What is wrong with `text` as a `name`; empty where nothing is."""
    check = FORMATS.get(name)
    if check is None:
        return ""
    try:
        check(text)
    except _Wrong as wrong:
        return str(wrong)
    return ""


# ---- moments ---------------------------------------------------------------------------------------------------------


def date(text: str) -> None:
    shown = f'parsing time "{text}" as "2006-01-02": cannot parse'
    rest = text
    for pattern, name in ((r"\d{4}", "2006"), ("-", "-"), (r"\d{2}", "01"), ("-", "-"), (r"\d{2}", "02")):
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            raise _Wrong(f'{shown} "{rest}" as "{name}"')
        rest = rest[match.end() :]
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    if not 1 <= month <= 12:
        raise _Wrong(f'parsing time "{text}": month out of range')
    if rest:
        raise _Wrong(f'parsing time "{text}": extra text: "{rest}"')
    try:
        calendar_date(year or 4, month, day)
    except ValueError:
        raise _Wrong(f'parsing time "{text}": day out of range') from None


def time(text: str) -> None:
    if len(text) < 9:
        raise _Wrong("less than 9 characters long")
    if text[2] != ":" or text[5] != ":":
        raise _Wrong("missing colon in correct place")
    hour, minute, second = _numbers(text[:2], text[3:5], text[6:8], fault="invalid hour/min/sec")
    if hour > 23 or minute > 59 or second > 60:
        raise _Wrong("hour/min/sec out of range")
    rest = text[8:]
    if rest.startswith("."):
        digits = len(rest) - len(rest[1:].lstrip("0123456789")) - 1
        if digits == 0:
            raise _Wrong("no digits in second fraction")
        rest = rest[1 + digits :]
    offset = 0
    if rest not in ("z", "Z"):
        if len(rest) != 6:
            raise _Wrong("offset must be 6 characters long")
        if rest[0] not in "+-":
            raise _Wrong("offset must begin with plus/minus")
        if rest[3] != ":":
            raise _Wrong("missing colon in offset in correct place")
        hours, minutes = _numbers(rest[1:3], rest[4:6], fault="invalid hour/min in offset")
        if hours > 23 or minutes > 59:
            raise _Wrong("hour/min in offset out of range")
        offset = (hours * 60 + minutes) * (1 if rest[0] == "-" else -1)
    if second == 60 and (hour * 60 + minute + offset) % 1440 != 1439:
        raise _Wrong("invalid leap second")


def _numbers(*texts: str, fault: str) -> list[int]:
    if not all(re.fullmatch("[0-9]+", text) for text in texts):
        raise _Wrong(fault)
    return [int(text) for text in texts]


def date_time(text: str) -> None:
    if len(text) < 20:
        raise _Wrong("less than 20 characters long")
    if text[10] not in "tT":
        raise _Wrong("11th character must be t or T")
    _part("invalid date element", date, text[:10])
    _part("invalid time element", time, text[11:])


def _part(what: str, check: Callable[[str], None], text: str) -> None:
    try:
        check(text)
    except _Wrong as wrong:
        raise _Wrong(f"{what}: {wrong}") from None


def duration(text: str) -> None:
    if not text.startswith("P"):
        raise _Wrong("must start with P")
    rest = text[1:]
    if not rest:
        raise _Wrong("nothing after P")
    if rest.endswith("W") and rest[:-1].isdigit():
        return
    days, mark, times = rest.partition("T")
    _units(days, "YMD")
    if mark:
        if not times:
            raise _Wrong("no time elements")
        _units(times, "HMS")


def _units(text: str, allowed: str) -> None:
    order = allowed
    while text:
        digits = len(text) - len(text.lstrip("0123456789"))
        if digits == 0:
            raise _Wrong("missing number")
        unit = text[digits : digits + 1]
        if not unit:
            raise _Wrong("missing unit")
        if unit not in order:
            raise _Wrong(f"unit '{unit}' out of order" if unit in allowed else f"invalid unit '{unit}'")
        order = order[order.index(unit) + 1 :]
        text = text[digits + 1 :]


def period(text: str) -> None:
    start, slash, end = text.partition("/")
    if not slash:
        raise _Wrong("missing slash")
    if start.startswith("P"):
        _part("invalid start duration", duration, start)
        _part("invalid end date-time", date_time, end)
        return
    _part("invalid start date-time", date_time, start)
    if end.startswith("P"):
        _part("invalid end duration", duration, end)
    else:
        _part("invalid end date-time", date_time, end)


# ---- hosts -----------------------------------------------------------------------------------------------------------


def hostname(text: str) -> None:
    text = text.removesuffix(".")
    if len(text) > 253:
        raise _Wrong("more than 253 characters long")
    for label in text.split("."):
        if not 1 <= len(label) <= 63:
            raise _Wrong("label must be 1 to 63 characters long")
        if label.startswith("-"):
            raise _Wrong("label starts with hyphen")
        if label.endswith("-"):
            raise _Wrong("label ends with hyphen")
        for char in label:
            if not (char.isascii() and (char.isalnum() or char == "-")):
                raise _Wrong(f"invalid character {_char(char)}")


def _char(char: str) -> str:
    return {"'": r"'\''", "\\": r"'\\'"}.get(char, f"'{char}'")


def ipv4(text: str) -> None:
    groups = text.split(".")
    if len(groups) != 4:
        raise _Wrong("expected four decimals")
    for group in groups:
        if len(group) > 1 and group.startswith("0"):
            raise _Wrong("leading zeros")
        if not re.fullmatch("[+-]?[0-9]+", group):
            raise _Wrong(f'strconv.Atoi: parsing "{group}": invalid syntax')
        if not 0 <= int(group[:20]) <= 255:
            raise _Wrong("decimal must be between 0 and 255")


def ipv6(text: str) -> None:
    if ":" not in text:
        raise _Wrong("missing colon")
    address, percent, _ = text.partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise _Wrong(f'ParseAddr("{text}"): {_ipv6_fault(address)}') from None
    if percent:
        raise _Wrong("zone id is not a part of ipv6 address")


def _ipv6_fault(text: str) -> str:
    """What Go's netip says; the commonest of its faults."""
    groups = text.split(":")
    rest = text
    for number, group in enumerate(groups):
        if number == 8:
            return f'trailing garbage after address (at "{rest}")'
        if group and not re.match("[0-9a-fA-F]", group):
            return f'each colon-separated field must have at least one digit (at "{rest}")'
        if len(group) > 4 and "." not in group:
            return f'each group must have 4 or less digits (at "{rest}")'
        if group and not re.fullmatch("[0-9a-fA-F.]+", group):
            bad = re.sub("^[0-9a-fA-F]+", "", group)
            return f'unexpected character, want colon (at "{bad}{rest[len(group) :]}")'
        rest = rest[len(group) + 1 :]
    return "address string too short" if "::" not in text else "unable to parse IP"


def email(text: str) -> None:
    if len(text) > 254:
        raise _Wrong("more than 255 characters long")
    local, at, domain = text.rpartition("@")
    if not at:
        raise _Wrong("missing @")
    if len(local) > 64:
        raise _Wrong("local part more than 64 characters long")
    if len(local) > 1 and local.startswith('"') and local.endswith('"'):
        if re.search(r'[\\"]', local[1:-1]):
            raise _Wrong("backslash and quote are not allowed within quoted local part")
    else:
        if local.startswith("."):
            raise _Wrong("starts with dot")
        if local.endswith("."):
            raise _Wrong("ends with dot")
        if ".." in local:
            raise _Wrong("consecutive dots")
        for char in local:
            if not (char.isascii() and (char.isalnum() or char in ".!#$%&'*+-/=?^_`{|}~")):
                raise _Wrong(f"invalid character {_char(char)}")
    if domain.startswith("[") and domain.endswith("]"):
        address = domain[1:-1]
        if address.startswith("IPv6:"):
            _part("invalid ipv6 address", ipv6, address.removeprefix("IPv6:"))
        else:
            _part("invalid ipv4 address", ipv4, address)
    else:
        _part("invalid domain", hostname, domain)


# ---- addresses -------------------------------------------------------------------------------------------------------


def _parsed(text: str) -> bool:
    """Whether an address has a scheme; `_Wrong` where Go can't parse it."""

    def wrong(why: str) -> _Wrong:
        return _Wrong(f'parse "{text}": {why}')

    if any(ord(char) < 0x20 or char == "\x7f" for char in text):
        raise wrong("net/url: invalid control character in URL")
    rest, _, fragment = text.partition("#")
    _escapes(fragment, wrong)
    match = re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", rest)
    scheme = match is not None
    if not scheme and rest.startswith(":"):
        raise wrong("missing protocol scheme")
    rest = rest[match.end() :] if match else rest
    rest = rest.partition("?")[0]
    if not scheme and ":" in rest.partition("/")[0]:
        raise wrong("first path segment in URL cannot contain colon")
    if rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        _host(authority.rpartition("@")[2], wrong)
        rest = slash + path
    if scheme and rest and not rest.startswith("/") and not text.partition(":")[2].startswith("//"):
        return True
    _escapes(rest, wrong)
    return scheme


def _escapes(text: str, wrong: Callable[[str], _Wrong]) -> None:
    for match in re.finditer("%(..?)?", text):
        if not re.fullmatch("%[0-9a-fA-F]{2}", match[0]):
            raise wrong(f'invalid URL escape "{match[0]}"')


def _host(host: str, wrong: Callable[[str], _Wrong]) -> None:
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise wrong("missing ']' in host")
        port = host[end + 1 :]
        if port and not re.fullmatch(":[0-9]*", port):
            raise wrong(f'invalid port "{port}" after host')
        return
    if ":" in host and not re.fullmatch("[0-9]*", port := host.rpartition(":")[2]):
        raise wrong(f'invalid port ":{port}" after host')
    _escapes(host, wrong)
    for char in host:
        if char in ' "<>\\^`{|}':
            shown = char.replace("\\", "\\\\").replace('"', '\\"')
            raise wrong(f'invalid character "{shown}" in host name')


def _literal_address(text: str) -> None:
    """In a bracketed host only addresses of version 6 may stand."""
    match = re.search(r"//(?:[^/?#]*@)?\[([^\]]*)\]", text)
    if match is not None and ":" not in match[1]:
        raise _Wrong(f'parse "{text}": invalid IP-literal')


def uri(text: str) -> None:
    has_scheme = _parsed(text)
    _literal_address(text)
    if not has_scheme:
        raise _Wrong("relative url")


def uri_reference(text: str) -> None:
    _parsed(text)
    _literal_address(text)
    if "\\" in text:
        raise _Wrong("contains \\")


def uri_template(text: str) -> None:
    _parsed(re.sub(r"\{[^{}]*\}", "", text) if "{" in text else text)
    open_ = False
    for char in text:
        if char == "{":
            if open_:
                raise _Wrong("nested curly braces")
            open_ = True
        elif char == "}":
            if not open_:
                raise _Wrong("nested curly braces")
            open_ = False
    if open_:
        raise _Wrong("no matching closing brace")


def json_pointer(text: str) -> None:
    if not text:
        return
    if not text.startswith("/"):
        raise _Wrong("not starting with /")
    if re.search("~(?![01])", text):
        raise _Wrong("~ must be followed by 0 or 1")


def relative_json_pointer(text: str) -> None:
    digits = len(text) - len(text.lstrip("0123456789"))
    if digits == 0:
        raise _Wrong("must start with non-negative integer")
    if digits > 1 and text.startswith("0"):
        raise _Wrong("starts with zero")
    if text[digits:] != "#":
        json_pointer(text[digits:])


# ---- others ----------------------------------------------------------------------------------------------------------


def uuid(text: str) -> None:
    elements = text.split("-")
    if len(elements) != 5:
        raise _Wrong("must have 5 elements")
    for number, (element, length) in enumerate(zip(elements, (8, 4, 4, 4, 12), strict=True), 1):
        if len(element) != length:
            raise _Wrong(f"element {number} must be {length} characters long")
        if bad := re.search("[^0-9a-fA-F]", element):
            raise _Wrong(f"non-hex character {_char(bad[0])}")


def regex(text: str) -> None:
    try:
        compile_pattern(text)
    except ChartError as error:
        raise _Wrong(str(error)) from None


def semver(text: str) -> None:
    rest, plus, build = text.partition("+")
    core, minus, release = rest.partition("-")
    numbers = core.split(".")
    if len(numbers) != 3:
        raise _Wrong("versionCore must have 3 numbers separated by dot")
    for name, number in zip(("major", "minor", "patch"), numbers, strict=True):
        if not number:
            raise _Wrong(f"{name} is empty")
        if not re.fullmatch("[0-9]+", number):
            raise _Wrong(f"{name} contains non-digit")
        if len(number) > 1 and number.startswith("0"):
            raise _Wrong(f"{name} starts with zero")
    for given, name, value in ((minus, "pre-release", release), (plus, "build", build)):
        for identifier in value.split(".") if given else ():
            if not identifier:
                raise _Wrong(f"{name} identifier is empty")
            if not re.fullmatch("[0-9A-Za-z-]+", identifier):
                raise _Wrong(f"{name} identifier contains invalid characters")
            if name == "pre-release" and identifier.isdigit() and len(identifier) > 1 and identifier.startswith("0"):
                raise _Wrong("pre-release numeric identifier starts with zero")


FORMATS: Mapping[str, Callable[[str], None]] = {
    "date": date,
    "time": time,
    "date-time": date_time,
    "duration": duration,
    "period": period,
    "hostname": hostname,
    "ipv4": ipv4,
    "ipv6": ipv6,
    "email": email,
    "uri": uri,
    "iri": uri,
    "uri-reference": uri_reference,
    "iri-reference": uri_reference,
    "uri-template": uri_template,
    "json-pointer": json_pointer,
    "relative-json-pointer": relative_json_pointer,
    "uuid": uuid,
    "regex": regex,
    "semver": semver,
}
