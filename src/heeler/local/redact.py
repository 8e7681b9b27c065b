"""Secrets taken out of what is shown to others: objects, logs, files. Pure.

What is recognised: Secrets' values, tokens (JWT, bearer, bootstrap), private keys, passwords in URLs, and values whose name
says that they are secret. Better too much than too little.
"""

from __future__ import annotations

import re
from typing import Any

from heeler.objects.value import Object

REMOVED = "<removed>"
_NAMES = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|credential|api[-_.]?key|private[-_.]?key|access[-_.]?key|auth)$"
)
_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), REMOVED),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), REMOVED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}"), rf"\1 {REMOVED}"),
    (re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"), REMOVED),
    (re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@"), rf"\1:{REMOVED}@"),
    (
        re.compile(
            r"(?i)(\b[\w.-]*(?:password|passwd|secret|token|api[-_]?key|private[-_]?key)[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s\"',}]+)"
        ),
        rf"\1{REMOVED}",
    ),
    (re.compile(r"(?i)((?:client-key|client-certificate)-data:\s*)\S+"), rf"\1{REMOVED}"),
)
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def text(found: str) -> str:
    """A text without what looks like a secret."""
    for pattern, instead in _TEXTS:
        found = pattern.sub(instead, found)
    return found


def obj(found: Object) -> Object:
    """An object without secrets: a Secret keeps its keys, other objects lose what a name or a form gives away."""
    if found.get("kind") == "Secret":
        found = {
            **found,
            **{part: dict.fromkeys(found[part], REMOVED) for part in ("data", "stringData") if found.get(part)},
        }
        metadata = {**found.get("metadata", {})}
        metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != _APPLIED}
        return {**found, "metadata": metadata}
    return dict(_value(found, ""))


def _value(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and isinstance(value.get("value"), str) and _NAMES.search(value["name"]):
            value = {**value, "value": REMOVED}  # an environment variable
        return {key: _value(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_value(one, name) for one in value]
    if isinstance(value, str):
        return REMOVED if value and _NAMES.search(name) and not _is_reference(name) else text(value)
    return value


def _is_reference(name: str) -> bool:
    """A field that names a Secret and holds none."""
    return name.startswith(("secretName", "tokenSecret", "automount"))
