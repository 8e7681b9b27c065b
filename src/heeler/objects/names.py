"""Names, label keys and values, ports, addresses: checks that answer with Kubernetes' messages.

Each function returns the list of what is wrong with a text, empty if it is fine.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ and .../labels/; RFC 1123, RFC 1035.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

#: So much of a generated name is the given part: the suffix fits into 63 characters.
MAX_PREFIX = 58
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_QUALIFIED})?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"
_PERCENT = "[0-9]+%"

_is_label = re.compile(rf"{_LABEL}\Z").match
_is_subdomain = re.compile(rf"{_SUBDOMAIN}\Z").match
_is_label_1035 = re.compile(rf"{_LABEL_1035}\Z").match
_is_qualified = re.compile(rf"{_QUALIFIED}\Z").match
_is_label_value = re.compile(rf"{_LABEL_VALUE}\Z").match
_is_config_key = re.compile(rf"{_CONFIG_KEY}\Z").match

_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_CASELESS_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_CASELESS = _CASELESS_LABEL + r"(\." + _CASELESS_LABEL + ")*"
_is_caseless = re.compile(rf"{_CASELESS}\Z").match
_CASELESS_WORDS = (  # the expression that it tells is the one of lower case
    "an RFC 1123 subdomain must consist of alphanumeric characters, '-' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'Example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_is_identifier = re.compile(rf"{_IDENTIFIER}\Z").match
_IDENTIFIER_WORDS = (
    "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters "
    f"or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '{_IDENTIFIER}')"
)
_SEARCH_LABEL = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SEARCH = _SEARCH_LABEL + r"(\." + _SEARCH_LABEL + ")*"
_is_search = re.compile(rf"{_SEARCH}\Z").match
_SEARCH_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SEARCH}')"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    f"and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    f"'{_LABEL_1035}')"
)
_QUALIFIED_BODY = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_LABEL_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{_LABEL_VALUE}')"
)
_CONFIG_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    f"or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
)
_WILDCARD = r"\*\." + _SUBDOMAIN
_WILDCARD_WORDS = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
    "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
    f"regex used for validation is '{_WILDCARD}')"
)

_DOTS = "must not contain dots"
PORT = "must be between 1 and 65535, inclusive"
ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _longer(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} characters"] if len(text.encode()) > limit else []


@lru_cache(maxsize=4096)
def _label(text: str) -> tuple[str, ...]:
    return (*_longer(text, 63), *(() if _is_label(text) else (_DOTS if _is_subdomain(text) else _LABEL_WORDS,)))


def label(text: str) -> list[str]:
    """A lowercase RFC 1123 label."""
    return list(_label(text))


def subdomain(text: str) -> list[str]:
    """A lowercase RFC 1123 subdomain."""
    return [*_longer(text, 253), *([] if _is_subdomain(text) else [_SUBDOMAIN_WORDS])]


def caseless_subdomain(text: str) -> list[str]:
    """An RFC 1123 subdomain in which capitals pass."""
    return [*_longer(text, 253), *([] if _is_caseless(text) else [_CASELESS_WORDS])]


def c_identifier(text: str) -> list[str]:
    return [] if _is_identifier(text) else [_IDENTIFIER_WORDS]


def search_domain(text: str) -> list[str]:
    """A subdomain that may have underscores, as resolvers search."""
    return [*_longer(text, 253), *([] if _is_search(text) else [_SEARCH_WORDS])]


def label_1035(text: str) -> list[str]:
    """An RFC 1035 label."""
    return [*_longer(text, 63), *([] if _is_label_1035(text) else [_LABEL_1035_WORDS])]


def wildcard_subdomain(text: str) -> list[str]:
    """`*.` and a subdomain."""
    return [*_longer(text, 253), *([] if re.match(rf"{_WILDCARD}\Z", text) else [_WILDCARD_WORDS])]


def qualified(text: str) -> list[str]:
    """A label key: a name of at most 63 bytes, optionally after a DNS subdomain and a slash."""
    return list(_qualified(text))


@lru_cache(maxsize=4096)
def _qualified(text: str) -> tuple[str, ...]:
    parts = text.split("/")
    out: list[str] = []
    if len(parts) == 2:
        if not parts[0]:
            out.append("prefix part must be non-empty")
        else:
            if len(parts[0].encode()) > 253:
                out.append("prefix part must be no more than 253 bytes")
            if not _is_subdomain(parts[0]):
                out.append(f"prefix part {_SUBDOMAIN_WORDS}")
    elif len(parts) > 2:
        return (
            f"a valid label key {_QUALIFIED_BODY} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')",
        )
    name = parts[-1]
    if not name:
        out.append("name part must be non-empty")
    elif len(name.encode()) > 63:
        out.append("name part must be no more than 63 bytes")
    if not _is_qualified(name):
        out.append(f"name part {_QUALIFIED_BODY}")
    return tuple(out)


def label_value(text: str) -> list[str]:
    """A label's value: empty, or a name of at most 63 bytes."""
    return list(_label_value(text))


@lru_cache(maxsize=4096)
def _label_value(text: str) -> tuple[str, ...]:
    out = ["must be no more than 63 bytes"] if len(text.encode()) > 63 else []
    if not _is_label_value(text):
        out.append(_LABEL_VALUE_WORDS)
    return tuple(out)


def config_key(text: str) -> list[str]:
    """A key of a ConfigMap or Secret: a file name."""
    out = _longer(text, 253)
    if not _is_config_key(text):
        out.append(_CONFIG_KEY_WORDS)
    if text == ".":
        out.append("must not be '.'")
    elif text == "..":
        out.append("must not be '..'")
    elif text.startswith(".."):
        out.append("must not start with '..'")
    return out


def env_name(text: str) -> list[str]:
    """The name of an environment variable: printable ASCII without "="."""
    if text and all(" " <= c <= "~" and c != "=" for c in text):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_name(text: str) -> list[str]:
    """The name of a port (RFC 6335)."""
    out = _longer(text, 15)
    if not re.match(r"[-a-z0-9]+\Z", text):
        out.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        out.append("must contain at least one letter (a-z)")
    if "--" in text:
        out.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        out.append("must not begin or end with a hyphen")
    return out


def port(number: int) -> list[str]:
    return [] if 1 <= number <= 65535 else [PORT]


def path_segment(text: str) -> list[str]:
    """A name that is one segment of a URL path."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{bad}'" for bad in ("/", "%") if bad in text]


def address(text: str) -> list[str]:
    """An IP address of either family; not one of both, nor with zeros in front that some would read as octal."""
    found = parsed_address(text)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return ["must not be an IPv4-mapped IPv6 address"]
    if found is None and _numbers(text) and all(int(part) < 256 for part in text.split(".")):
        return ["must not have leading 0s"]
    return [] if found else [ADDRESS]


_numbers = re.compile(r"\d+(\.\d+){3}\Z", re.ASCII).match


@lru_cache(maxsize=1024)
def parsed_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None. IPv4 numbers may not have leading zeros; zones are not allowed."""
    if "%" in text:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def parsed_cidr(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that contains the address of a CIDR, or None."""
    base, slash, bits = text.partition("/")
    if not slash or not bits.isdigit() or parsed_address(base) is None:
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def percent(text: str) -> list[str]:
    """ "12%"."""
    if re.match(rf"{_PERCENT}\Z", text):
        return []
    return [
        "a valid percent string must be a numeric string followed by an ending '%' "
        f"(e.g. '1%',  or '93%', regex used for validation is '{_PERCENT}')"
    ]


def fully_qualified_domain(text: str) -> list[str]:
    """A subdomain of at least two segments."""
    if len(text.split(".")) < 2:
        return ["should be a domain with at least two segments separated by dots"]
    return subdomain(text)
