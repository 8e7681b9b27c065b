"""Query strings, as Go's url.ParseQuery reads them: pairs that are malformed are left out, the rest counts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote_plus, unquote_to_bytes

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(text: str) -> dict[str, list[str]]:
    """Values by name, in the order in which they came."""
    out: dict[str, list[str]] = {}
    for pair in text.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        name, _, value = pair.partition("=")
        out.setdefault(_unescape(name), []).append(_unescape(value))
    return out


def encode_query(values: Mapping[str, str]) -> str:
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in values.items())


def _unescape(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")
