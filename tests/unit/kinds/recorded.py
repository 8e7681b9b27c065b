"""Recorded requests run through decode, default, convert, prepare and validate, without a server.

A case is a small world: what its requests made is kept by path, so that updates find the old object. What the server
itself sets (uid, times, addresses, admission's doings) is left out of comparisons. The recordings stand in
`tests/reference/apiserver`.
"""

from __future__ import annotations

import copy
import gzip
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from heeler.kinds.kind import Kind, api_version
from heeler.kinds.registry import built_in
from heeler.objects.decode import DecodeError, decode
from heeler.objects.faults import Fault

RECORDINGS = Path(__file__).resolve().parents[2] / "reference" / "apiserver"

#: Of metadata only these are compared.
COMPARED_META = (
    "name",
    "namespace",
    "generateName",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generation",
)


def cases(area: str) -> Iterator[dict[str, Any]]:
    """The recorded cases of an area."""
    for line in gzip.decompress((RECORDINGS / f"{area}.jsonl.gz").read_bytes()).splitlines():
        yield orjson.loads(line)


@dataclass
class Place:
    """Where a request goes."""

    kind: Kind
    group: str
    version: str
    namespace: str
    name: str
    subresource: str


def place(path: str) -> Place | None:
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest and rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    kind = built_in().by_path(group, version, rest[0]) if rest else None
    if kind is None:
        return None
    return Place(kind, group, version, namespace, rest[1] if len(rest) > 1 else "", "/".join(rest[2:]))


@dataclass
class Outcome:
    """What came of a request: an object, or faults, or a decoding error."""

    obj: Any = None
    faults: list[Fault] = field(default_factory=list)
    error: str = ""
    warnings: list[str] = field(default_factory=list)


def concrete(answer: Any) -> Any:
    """A recorded answer with a time for each that the recording hides."""
    raw = orjson.dumps(answer)
    for hidden, shown in (
        (b'"<time>"', b'"2026-01-01T00:00:00Z"'),
        (b"<generated>", b"abcde"),
        (b"<uid>", b"uid-1"),
        (b"<ip>", b"10.0.0.9"),
    ):
        raw = raw.replace(hidden, shown)
    ports = itertools.count(30000)  # each its own: a Service may not have one twice
    return orjson.loads(re.sub(b'"<port>"', lambda _: b"%d" % next(ports), raw))


@dataclass
class World:
    """The objects that a case made, in stored form."""

    objects: dict[tuple[str, str, str, str], Any] = field(default_factory=dict)
    answers: list[Any] = field(default_factory=list)
    uids: int = 0

    def fill(self, body: Any) -> Any:
        """Replace {{stepN…}} by the recorded answers."""
        if isinstance(body, str):
            whole = re.fullmatch(r"\{\{step(\d+)((?:\.[^{}.]+)*)\}\}", body)
            if whole:
                return copy.deepcopy(self._answer(whole.group(1), whole.group(2)))
            return re.sub(
                r"\{\{step(\d+)((?:\.[^{}.]+)*)\}\}", lambda m: str(self._answer(m.group(1), m.group(2))), body
            )
        if isinstance(body, dict):
            return {k: self.fill(v) for k, v in body.items()}
        return [self.fill(v) for v in body] if isinstance(body, list) else body

    def _answer(self, step: str, path: str) -> Any:
        here = concrete(self.answers[int(step) - 1])
        for key in path.split(".")[1:]:
            here = here[int(key)] if isinstance(here, list) else (here or {}).get(key)
        return here

    def write(self, method: str, where: Place, body: Any) -> Outcome:
        kind = where.kind
        own = where.subresource in ("", "status") or (
            where.subresource in kind.subresources and not kind.subresources[where.subresource].foreign
        )
        if not own:
            return Outcome(error="skipped")
        try:
            obj, problems = decode(body, kind.type(where.version))
        except DecodeError as error:
            return Outcome(error=str(error))
        obj.setdefault("metadata", {})
        if where.namespace:
            obj["metadata"].setdefault("namespace", where.namespace)
        kind.default(obj, where.version)
        problems += kind.tidy(obj)
        obj = kind.convert(obj, api_version(where.group, where.version), kind.storage_api_version)
        outcome = self._update(where, obj) if method == "PUT" else self._create(where, obj)
        outcome.warnings = problems + outcome.warnings
        return outcome

    def _create(self, where: Place, obj: Any) -> Outcome:
        self.uids += 1
        meta = obj["metadata"]
        meta["uid"], meta["creationTimestamp"] = f"uid-{self.uids}", "2026-01-01T00:00:00Z"
        if meta.get("generateName") and not meta.get("name"):
            meta["name"] = meta["generateName"] + "xxxxx"
        where.kind.prepare_create(obj)
        faults = where.kind.validate_create(obj)
        if not faults:
            where.kind.settle(obj)
            self.objects[self._key(where, meta.get("name", ""))] = copy.deepcopy(obj)
        return Outcome(obj, faults, warnings=_warnings(where.kind, obj, None))

    def _update(self, where: Place, obj: Any) -> Outcome:
        old = self.objects.get(self._key(where, where.name))
        if old is None:
            return Outcome(error="not found")
        old = copy.deepcopy(old)
        for key in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
            if key in old["metadata"]:
                obj["metadata"][key] = old["metadata"][key]
            else:
                obj["metadata"].pop(key, None)
        where.kind.prepare_update(obj, old, where.subresource)
        faults = where.kind.validate_update(obj, old, where.subresource)
        if not faults:
            self.objects[self._key(where, where.name)] = copy.deepcopy(obj)
        return Outcome(obj, faults, warnings=_warnings(where.kind, obj, old))

    def _key(self, where: Place, name: str) -> tuple[str, str, str, str]:
        return (where.kind.storage_group, where.kind.plural, where.namespace, name)

    def remember(self, where: Place, answer: Any) -> None:
        """Keep the recorded object (stored form), so that later steps start from the truth."""
        if not isinstance(answer, dict) or "metadata" not in answer or answer.get("kind") != where.kind.kind:
            return
        obj, _ = decode(concrete(answer), where.kind.type(where.version))
        obj = where.kind.convert(obj, api_version(where.group, where.version), where.kind.storage_api_version)
        obj["metadata"].pop("managedFields", None)
        self.objects[self._key(where, obj["metadata"].get("name", ""))] = obj


def _warnings(kind: Kind, obj: Any, old: Any) -> list[str]:
    return [*(w for w in [kind.deprecation(kind.versions[0])] if w), *kind.warnings(obj, old)]


def comparable(obj: Any, where: Place) -> Any:
    """An object without what the server sets."""
    out = copy.deepcopy(obj)
    out.pop("apiVersion", None)
    out.pop("kind", None)
    out["metadata"] = {k: out["metadata"][k] for k in COMPARED_META if out["metadata"].get(k)}
    if "generateName" in out["metadata"]:
        out["metadata"].pop("name", None)
    text = re.sub(r"uid-\d+", "<uid>", orjson.dumps(out).decode())
    return orjson.loads(text)


def differences(expected: Any, got: Any, path: str = "") -> list[str]:
    """Paths at which two values differ."""
    if isinstance(expected, dict) and isinstance(got, dict):
        out = []
        for key in sorted({*expected, *got}):
            if key not in got:
                out.append(f"{path}.{key} missing, expected {expected[key]!r}")
            elif key not in expected:
                out.append(f"{path}.{key} extra: {got[key]!r}")
            else:
                out += differences(expected[key], got[key], f"{path}.{key}")
        return out
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        return [d for at, pair in enumerate(zip(expected, got)) for d in differences(*pair, f"{path}[{at}]")]
    if expected == got or (isinstance(expected, str) and expected.startswith("<") and expected.endswith(">")):
        return []
    return [f"{path}: expected {expected!r}, got {got!r}"]


#: What admission, allocation and controllers of the recorded server add to objects: left out of comparisons.
SET_BY_SERVER: dict[str, tuple[str, ...]] = {
    "Pod": (
        *(".spec.serviceAccount", ".spec.tolerations", ".spec.preemptionPolicy", ".spec.priority", ".spec.volumes"),
        *(".spec.enableServiceLinks!", ".volumeMounts"),
    ),
    "Service": (".spec.clusterIP", ".spec.ipFamil", ".spec.ports[", ".spec.healthCheckNodePort"),
    "PersistentVolumeClaim": (".metadata.finalizers",),
    "PersistentVolume": (".metadata.finalizers", ".status.lastPhaseTransitionTime"),
    "CustomResourceDefinition": (".status",),
    "CertificateSigningRequest": (".spec.username", ".spec.groups", ".spec.uid", ".spec.extra"),
    "Namespace": (".metadata.annotations",),
    "Node": (".spec.taints",),
    "StorageClass": (),
    "FlowSchema": (".status",),
}


def of_server(kind: str, difference: str) -> bool:
    return any(
        difference.startswith(prefix) or (prefix == ".volumeMounts" and ".volumeMounts" in difference)
        for prefix in SET_BY_SERVER.get(kind, ())
    )
