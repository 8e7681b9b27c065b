"""sprig's hashes and encodings, and paths and URLs."""

from __future__ import annotations

import base64
import re
import zlib
from typing import Any, Final

from heeler.packages.functions.convert import data, undata
from heeler.packages.template.values import Function, GoError, GoPanic, go


def _hash(name: str) -> Any:
    def digest(value: str) -> str:
        import hashlib

        return hashlib.new(name, data(value)).hexdigest()

    return digest


# ---- base64 and base32 -----------------------------------------------------------------------------------------------

_BASE64: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_BASE32: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_LINE_ENDS = re.compile(rb"[\r\n]")


def from_base64(value: str) -> str:
    """The text, or Go's message about the first byte that doesn't fit."""
    try:
        return undata(from_base64_bytes(value))
    except GoError as error:
        return str(error)


def from_base64_bytes(value: str) -> bytes:
    """The bytes. Raises `GoError` with Go's message."""
    raw = data(value)
    fault = _base64_fault(raw)
    if fault is not None:
        raise GoError(f"illegal base64 data at input byte {fault}")
    return base64.b64decode(_LINE_ENDS.sub(b"", raw))


def _base64_fault(raw: bytes) -> int | None:
    """The place of the first byte that is wrong; line ends don't count as data."""
    held = 0  # signs of the group of four under way
    at = 0
    size = len(raw)
    while at < size:
        byte = raw[at]
        at += 1
        if byte in b"\r\n":
            continue
        if byte in _BASE64:
            held = (held + 1) % 4
            continue
        if byte != ord("=") or held < 2:
            return at - 1
        if held == 2:
            padding = at - 1
            at = _past_line_ends(raw, at)
            if at == size:
                return size
            if raw[at] != ord("="):
                return padding
            at += 1
        at = _past_line_ends(raw, at)
        return at if at < size else None
    return at - held if held else None


def _past_line_ends(raw: bytes, at: int) -> int:
    while at < len(raw) and raw[at] in b"\r\n":
        at += 1
    return at


def from_base32(value: str) -> str:
    """The text, or Go's message about the first byte that doesn't fit. Line ends are passed over before anything is counted."""
    raw = _LINE_ENDS.sub(b"", data(value))
    fault, end = _base32_end(raw)
    if fault is not None:
        return f"illegal base32 data at input byte {fault}"
    return undata(base64.b32decode(raw[:end]))


def _base32_end(raw: bytes) -> tuple[int | None, int]:
    """The place of the first byte that is wrong, or where the data ends: what stands behind its padding isn't looked at."""
    size = len(raw)
    for start in range(0, size, 8):
        for place in range(8):
            at = start + place
            if at == size:
                return (at - place if place else None), size
            byte = raw[at]
            if byte == ord("=") and place >= 2 and size - at - 1 < 8:
                if size - at - 1 + place < 7:
                    return size, 0
                for padding in range(7 - place):
                    if raw[at + 1 + padding] != ord("="):
                        return at + padding, 0
                return (at if place in (1, 3, 6) else None), start + 8
            if byte not in _BASE32:
                return at, 0
    return None, size


# ---- paths -----------------------------------------------------------------------------------------------------------


def clean_path(path: str) -> str:
    """path.Clean: no empty parts, no `.`, and `..` with what it leads out of."""
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == ".." and kept and kept[-1] != "..":
            kept.pop()
        elif part != ".." or not rooted:
            kept.append(part)
    cleaned = "/".join(kept)
    return "/" + cleaned if rooted else cleaned or "."


def base_name(path: str) -> str:
    if not path:
        return "."
    stripped = path.rstrip("/")
    return stripped[stripped.rfind("/") + 1 :] or "/"


def directory(path: str) -> str:
    return clean_path(path[: path.rfind("/") + 1])


def extension(path: str) -> str:
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 else ""


def is_absolute(path: str) -> bool:
    return path.startswith("/")


# ---- URLs ------------------------------------------------------------------------------------------------------------


def parsed_url(value: str) -> dict[str, Any]:
    from heeler.packages.functions import urls

    try:
        url = urls.parse(value)
    except urls.Fault as fault:
        raise GoPanic(f"unable to parse url: {fault}") from None
    return {
        "scheme": url.scheme,
        "host": url.host,
        "hostname": url.hostname,
        "path": url.path,
        "query": url.query,
        "opaque": url.opaque,
        "fragment": url.fragment,
        "userinfo": url.userinfo,
    }


def joined_url(parts: dict[str, Any]) -> str:
    from heeler.packages.functions import urls

    def part(name: str) -> str:
        value = parts.get(name, "")
        if name in parts and not isinstance(value, str):
            from heeler.packages.template.values import kind_name

            raise GoPanic(f"unable to parse {name} key, must be of type string, but {kind_name(value)} found")
        return str(value)

    try:
        return urls.join(part)
    except urls.Fault as fault:
        raise GoPanic(f"unable to parse userinfo in dict, err: {fault}") from None


FUNCTIONS: Final[list[Function]] = [
    go("sha1sum(string) string")(_hash("sha1")),
    go("sha256sum(string) string")(_hash("sha256")),
    go("sha512sum(string) string")(_hash("sha512")),
    go("adler32sum(string) string")(lambda value: str(zlib.adler32(data(value)))),
    go("b64enc(string) string")(lambda value: base64.b64encode(data(value)).decode()),
    go("b64dec(string) string")(from_base64),
    go("b32enc(string) string")(lambda value: base64.b32encode(data(value)).decode()),
    go("b32dec(string) string")(from_base32),
    go("base(string) string")(base_name),
    go("dir(string) string")(directory),
    go("clean(string) string")(clean_path),
    go("ext(string) string")(extension),
    go("isAbs(string) bool")(is_absolute),
    go("osBase(string) string")(base_name),
    go("osDir(string) string")(directory),
    go("osClean(string) string")(clean_path),
    go("osExt(string) string")(extension),
    go("osIsAbs(string) bool")(is_absolute),
    go("urlParse(string) map[string]interface {}")(parsed_url),
    go("urlJoin(map[string]interface {}) string")(joined_url),
]
