"""URLs as Go's net/url parses and writes them, as far as `urlParse` and `urlJoin` show (RFC 3986 with Go's leniency)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from heeler.packages.functions.convert import data, undata
from heeler.packages.template.formatting import quote


class Fault(Exception):
    """What is wrong with a URL; `str()` is net/url's message."""


@dataclass(frozen=True, slots=True)
class Url:
    scheme: str = ""
    opaque: str = ""
    userinfo: str = ""
    host: str = ""
    path: str = ""
    query: str = ""
    fragment: str = ""

    @property
    def hostname(self) -> str:
        """The host without its port and brackets."""
        host = self.host
        colon = host.rfind(":")
        if colon >= 0 and re.fullmatch(r":[0-9]*", host[colon:]):
            host = host[:colon]
        return host[1:-1] if host.startswith("[") and host.endswith("]") else host


#: Signs that stand for themselves, by part; letters, digits and `-_.~` do everywhere.
_PLAIN: Final = "-_.~"
_IN_USER: Final = _PLAIN + "$&+,;="
_IN_HOST: Final = _PLAIN + "!$&'()*+,;=:[]<>\""
_IN_PATH: Final = _PLAIN + "$&+,/:;=@"
_IN_FRAGMENT: Final = _PLAIN + "$&+,/:;=?@!()*"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*\Z")
_PORT = re.compile(r"(?::[0-9]*)?\Z")


def parse(raw: str) -> Url:
    """The URL's parts, unescaped but for the query. Raises `Fault`."""
    rest, hash_sign, fragment = raw.partition("#")
    try:
        url = _parse(rest)
    except Fault as fault:
        raise Fault(f"parse {quote(rest)}: {fault}") from None
    if not hash_sign:
        return url
    try:
        fragment = _unescaped(fragment)
    except Fault as fault:
        raise Fault(f"parse {quote(raw)}: {fault}") from None
    return Url(url.scheme, url.opaque, url.userinfo, url.host, url.path, url.query, fragment)


def _parse(rest: str) -> Url:
    if any(sign < " " or sign == "\x7f" for sign in rest):
        raise Fault("net/url: invalid control character in URL")
    if rest == "*":
        return Url(path="*")
    scheme = ""
    if rest.startswith(":"):
        raise Fault("missing protocol scheme")
    if found := _SCHEME.match(rest):
        scheme, rest = found[0][:-1].lower(), rest[found.end() :]
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, rest, query=query)
        if ":" in rest.partition("/")[0]:
            raise Fault("first path segment in URL cannot contain colon")
    userinfo = host = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        rest = slash + path
        userinfo, host = _authority(authority)
    return Url(scheme, "", userinfo, host, _unescaped(rest), query)


def _authority(authority: str) -> tuple[str, str]:
    user, at, host = authority.rpartition("@")
    host = _host(host)
    if not at:
        return "", host
    if not _USER.match(user):
        raise Fault("net/url: invalid userinfo")
    name, colon, password = user.partition(":")
    return _escaped(_unescaped(name), _IN_USER) + (
        ":" + _escaped(_unescaped(password), _IN_USER) if colon else ""
    ), host


def _host(host: str) -> str:
    if host.startswith("["):
        closing = host.rfind("]")
        if closing < 0:
            raise Fault("missing ']' in host")
        port = host[closing + 1 :]
        if not _PORT.match(port):
            raise Fault(f"invalid port {quote(port)} after host")
        return _unescaped(host, in_host=True)
    colon = host.rfind(":")
    if colon >= 0 and not _PORT.match(host[colon:]):
        raise Fault(f"invalid port {quote(host[colon:])} after host")
    return _unescaped(host, in_host=True)


def _unescaped(text: str, *, in_host: bool = False) -> str:
    raw = data(text)
    out = bytearray()
    at = 0
    while at < len(raw):
        byte = raw[at]
        if byte == ord("%"):
            digits = raw[at + 1 : at + 3]
            if not re.fullmatch(b"[0-9a-fA-F]{2}", digits) or (in_host and digits[0] < ord("8") and digits != b"25"):
                raise Fault(f"invalid URL escape {quote(undata(raw[at : at + 3]))}")
            out.append(int(digits, 16))
            at += 3
            continue
        if in_host and byte < 0x80 and not (chr(byte).isalnum() or chr(byte) in _IN_HOST):
            raise Fault(f"invalid character {quote(chr(byte))} in host name")
        out.append(byte)
        at += 1
    return undata(bytes(out))


def _escaped(text: str, plain: str) -> str:
    return "".join(
        chr(byte) if byte < 0x80 and (chr(byte).isalnum() or chr(byte) in plain) else f"%{byte:02X}"
        for byte in data(text)
    )


def join(part: Callable[[str], str]) -> str:
    """The URL out of its parts, which `part` gives by name. Raises `Fault` for a userinfo that is none."""
    scheme, host, path, query = part("scheme"), part("host"), part("path"), part("query")
    opaque, fragment, userinfo = part("opaque"), part("fragment"), part("userinfo")
    if userinfo:
        userinfo = parse(f"proto://{userinfo}@host").userinfo
        userinfo += "@" if userinfo else ""
    out = scheme + ":" if scheme else ""
    if opaque:
        out += opaque
    else:
        if (scheme or host or userinfo) and (host or path or userinfo):
            out += "//" + userinfo + _escaped(host, _IN_HOST)
        path = path if path == "*" else _escaped(path, _IN_PATH)
        if path and not path.startswith("/") and host:
            out += "/"
        if not out and ":" in path.partition("/")[0]:
            out += "./"
        out += path
    if query:
        out += "?" + query
    return out + ("#" + _escaped(fragment, _IN_FRAGMENT) if fragment else "")
