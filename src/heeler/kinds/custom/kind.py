"""A CustomResourceDefinition made a kind: the same record as a built-in one, from a schema instead of tables.

A request works in its own version from its beginning to the store (`view`): the stored form of a view is that version, and
only the store's edge converts, which may take a webhook (`apiserver/extensions/conversion.py`). Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from heeler.base.clock import parse_rfc3339
from heeler.kinds.custom import cel_rules, jsonpath, scale, structural, validation
from heeler.kinds.kind import Column, Getter, Kind, Own, subresources_of
from heeler.kinds.meta.objectmeta import create_rules, update_rules
from heeler.kinds.printing import NAME, human_duration
from heeler.kinds.types import type_named
from heeler.objects import faults, versions
from heeler.objects.decode import DecodeError, decode
from heeler.objects.faults import Fault
from heeler.objects.schema import Type
from heeler.objects.value import Object

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")
_META = ("apiVersion", "kind", "metadata")


class CustomKind(Kind):
    """The kind that a definition makes; `definition` is the CustomResourceDefinition as stored."""

    custom = True

    def __init__(self, definition: Object, form: str = "") -> None:
        """`form`: the version that requests work in, "" for the one that is stored."""
        spec = definition["spec"]
        names = spec["names"]
        served = [v for v in spec["versions"] if v.get("served")]
        self.definition = definition
        self._versions: dict[str, Object] = {v["name"]: v for v in spec["versions"]}
        self._types: dict[str, Type] = {}
        self._views: dict[str, CustomKind] = {}
        self._stored = next(v["name"] for v in spec["versions"] if v.get("storage"))
        self._form = form or self._stored
        storage = f"{spec['group']}/{self._form}"
        facts: list[Mapping[str, Any]] = [
            _facts(definition, v) for v in sorted(served, key=lambda v: versions.priority(v["name"]))
        ]
        has_status = "status" in (self._versions[self._form].get("subresources") or {})
        own = Own(
            spec["group"],
            names["kind"],
            status=has_status,
            generation=True,
            storage=storage,
            allow_unconditional_update=False,
            unsupported_label="field label not supported: {label}",
        )
        super().__init__(facts, own)
        self.list_kind = names.get("listKind") or f"{names['kind']}List"
        if any(fact["version"] == form for fact in facts):
            self.subresources = subresources_of(next(fact for fact in facts if fact["version"] == form))

    def view(self, version: str) -> CustomKind:
        if version == self._form or version not in self._versions:
            return self
        if version not in self._views:
            self._views[version] = CustomKind(self.definition, version)
        return self._views[version]

    @property
    def storage_version(self) -> str:
        return self._form

    @property
    def stored_api_version(self) -> str:
        return self.api_version(self._stored)

    @property
    def webhook(self) -> Object | None:
        conversion = self.definition["spec"].get("conversion") or {}
        found: Object | None = conversion.get("webhook") if conversion.get("strategy") == "Webhook" else None
        return found

    def schema(self, version: str) -> Object:
        """The structural schema of a version."""
        found: Object = (self._versions[version].get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
        return found

    def type_name(self, version: str) -> str:
        """`com.example.v1.Widget` of group example.com."""
        return f"{'.'.join(reversed(self.group.split('.')))}.{version}.{self.kind}"

    def type(self, version: str) -> Type:
        if version not in self._types:
            self._types[version] = structural.type_of(self.schema(version), name=self.kind)
        return self._types[version]

    @property
    def storage_type(self) -> Type:
        return self.type(self._form)

    def decode(self, value: Any, version: str, *, strict: bool = False) -> tuple[Object, list[str]]:
        """The object as it is stored: metadata typed, the rest pruned; what was unknown."""
        if not isinstance(value, dict):
            raise DecodeError("json: cannot unmarshal into a custom resource: not an object")
        out: Object = structural.whole_numbers(copy.deepcopy(value))
        metadata, unknown = decode(out.get("metadata") or {}, type_named(structural.OBJECT_META), strict=strict)
        out["metadata"] = metadata
        schema = self.schema(version)
        problems = [f'unknown field "metadata.{p.split(chr(34))[1]}"' for p in unknown]
        problems += [f'unknown field "{path}"' for path in structural.prune(out, schema)]
        structural.drop_nulls(out, schema)
        return out, problems

    def default(self, obj: Object, version: str) -> None:
        structural.default(obj, self.schema(version))

    def convert(self, obj: Object, source: str, target: str) -> Object:
        """Without a webhook versions differ in their name, and in what their schemas know."""
        if source == target:
            return obj
        if self.webhook is not None:
            raise ValueError(f"{self.plural}.{self.group} are converted by a webhook")
        return self.converted({**copy.deepcopy(obj), "apiVersion": target})

    def converted(self, obj: Object) -> Object:
        """An object that was made one of its version: without what the schema of that doesn't know, in place."""
        version = obj["apiVersion"].rpartition("/")[2]
        if version in self._versions:
            structural.prune(obj, self.schema(version))
        return obj

    def as_stored(self, obj: Object) -> Object:
        """What was read from the store, as the schema of its version is today: pruned, with defaults, in place."""
        version = obj["apiVersion"].rpartition("/")[2]
        if version in self._versions:
            structural.prune(obj, self.schema(version))
            structural.default(obj, self.schema(version))
        return obj

    def of_store(self, obj: Object, api_version: str) -> Object:
        return self.convert(self.as_stored(obj), obj["apiVersion"], api_version)

    def deprecation(self, version: str) -> str:
        found = self._versions[version]
        if not found.get("deprecated"):
            return ""
        if found.get("deprecationWarning"):
            return str(found["deprecationWarning"])
        text = f"{self.api_version(version)} {self.kind} is deprecated"
        better = [v for v in self.versions if not self._versions[v].get("deprecated")]
        newer = [v for v in better if versions.priority(v) < versions.priority(version)]
        return f"{text}; use {self.api_version(newer[0])} {self.kind}" if newer else text

    def settle(self, obj: Object) -> None:
        """Custom objects are stored as they are."""

    def prepare_update(self, new: Object, old: Object, subresource: str = "", now: str = "") -> None:
        """The generation grows with any change outside of metadata and status."""
        metadata = new["metadata"]
        generation = old["metadata"].get("generation", 1)
        if subresource == "status":
            status = new.get("status")
            for key in [k for k in new if k not in ("apiVersion", "kind", "metadata")]:
                del new[key]
            new.update({k: v for k, v in old.items() if k not in ("apiVersion", "kind", "metadata", "status")})
            if status is not None:
                new["status"] = status
            kept = {k: v for k, v in metadata.items() if k in ("managedFields", "resourceVersion")}
            new["metadata"] = {**{k: v for k, v in old["metadata"].items() if k != "managedFields"}, **kept}
            return
        if self.own.status:
            if "status" in old:
                new["status"] = old["status"]
            else:
                new.pop("status", None)
        left_out = _META if not self.own.status else (*_META, "status")
        changed = any(new.get(k) != old.get(k) for k in {*new, *old}.difference(left_out))
        metadata["generation"] = generation + 1 if changed else generation

    def validate_create(self, obj: Object) -> list[Fault]:
        return [
            *create_rules(obj["metadata"], self.namespaced, "subdomain", custom=True),
            *self._schema_faults(obj, None),
        ]

    def validate_update(self, new: Object, old: Object, subresource: str = "") -> list[Fault]:
        found = list(update_rules(new["metadata"], old["metadata"], self.namespaced, custom=True))
        return [
            *found,
            *found,
            *self._schema_faults(new, old, subresource),
        ]  # recorded: each fault of metadata is a cause twice

    def _schema_faults(self, obj: Object, old: Object | None, subresource: str = "") -> list[Fault]:
        schema = self.schema(self._form)
        shown, before = _own_fields(obj), None if old is None else _own_fields(old)
        former = validation.UNRELATED if before is None else before
        found = list(validation.validate(shown, _without_meta(schema), "", former))
        if subresource == "status":
            found = [_seen_from_status(fault) for fault in found]
        found += scale.faults_of(obj, self.scale_paths(self._form) or {}, status_only=subresource == "status")
        if before is None or not any(validation.list_faults(before, schema)):
            found += validation.list_faults(shown, schema)
        if cel_rules.present(schema):
            if any(fault.reason in cel_rules.BLOCKING for fault in found):
                found.append(cel_rules.not_evaluated())
            else:
                found += cel_rules.object_faults(obj, old, schema)
        return found

    def warnings(self, new: Object, old: Object | None) -> list[str]:
        return []

    def columns(self, version: str) -> tuple[Column, ...]:
        name = version.rpartition("/")[2] or self._form
        found = (self._versions.get(name) or self._versions[self._form]).get("additionalPrinterColumns")
        if not found:
            return (NAME, _AGE)
        return (NAME, *(_column(c) for c in found))

    def row(self, obj: Object, now: float) -> list[Any]:
        return [column.cell(obj, now) for column in self.columns("")]

    @property
    def selectable(self) -> Mapping[str, Getter]:
        out = dict(super().selectable)
        for entry in self._versions[self._form].get("selectableFields") or ():
            path = entry["jsonPath"]
            out[path.removeprefix(".")] = lambda obj, path=path: _selected(obj, path)  # type: ignore[misc]
        return out

    def scale_paths(self, version: str) -> Object | None:
        """The scale subresource's paths, or None if there is none."""
        found: Object | None = (self._versions[version].get("subresources") or {}).get("scale")
        return found


_AGE = Column(
    "Age",
    lambda obj, now: _age(obj["metadata"].get("creationTimestamp"), now),
    "date",
    about="apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp",
)


def _seen_from_status(fault: Fault) -> Fault:
    """A write to the status is judged by the status' schema alone, so the words name fields from there on."""
    short = fault.field.removeprefix("status").removeprefix(".")
    message = fault.message.replace(f": {fault.field} in body ", f": {short} in body ", 1)
    return Fault(fault.reason, message, fault.field)


def _own_fields(obj: Object) -> Object:
    """An object without what every object has."""
    return {k: v for k, v in obj.items() if k not in _META}


def _without_meta(schema: Object) -> Object:
    """The schema for everything but what every object has."""
    properties = {
        k: v for k, v in (schema.get("properties") or {}).items() if k not in ("apiVersion", "kind", "metadata")
    }
    required = [r for r in schema.get("required") or () if r not in ("apiVersion", "kind", "metadata")]
    return {**schema, "properties": properties, "required": required}


def _facts(definition: Object, version: Object) -> Object:
    """The row that a built-in kind has in the schema."""
    spec, names = definition["spec"], definition["spec"]["names"]
    subresources: Object = {}
    given = version.get("subresources") or {}
    own = {"group": spec["group"], "version": version["name"], "kind": names["kind"]}
    if "status" in given:
        subresources["status"] = {**own, "verbs": list(_STATUS_VERBS)}
    if "scale" in given:
        foreign = {"group": "autoscaling", "version": "v1", "kind": "Scale", "foreign": True}
        subresources["scale"] = {**foreign, "verbs": list(_STATUS_VERBS), "type": "io.k8s.api.autoscaling.v1.Scale"}
    return {
        "group": spec["group"],
        "version": version["name"],
        "kind": names["kind"],
        "plural": names["plural"],
        "singular": names.get("singular") or names["kind"].lower(),
        "namespaced": spec["scope"] == "Namespaced",
        "shortNames": names.get("shortNames") or [],
        "categories": names.get("categories") or [],
        "verbs": list(VERBS),
        "hash": _hash(f"{spec['group']}/{version['name']}/{names['plural']}"),
        "type": "",
        "subresources": subresources,
    }


def _hash(text: str) -> str:
    import base64
    import hashlib

    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


def _column(found: Object) -> Column:
    path, kind = found["jsonPath"], found.get("type", "string")

    def cell(obj: Object, now: float) -> Any:
        values = jsonpath.find(obj, path)
        if not values:
            return None
        value = values[0]
        if kind == "date":
            return _age(value, now)
        if kind == "integer":
            return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        if kind == "number":
            return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
        if kind == "boolean":
            return value if isinstance(value, bool) else None
        shown = values if len(values) > 1 else value
        return shown if isinstance(shown, str) else faults.shown(shown)

    about = (
        f"={found['description']}"
        if found.get("description")
        else f"=Custom resource definition column (in JSONPath format): {path}"
    )
    return Column(found["name"], cell, kind, found.get("format", ""), found.get("priority", 0), about)


def _age(moment: Any, now: float) -> str:
    try:
        return human_duration(now - parse_rfc3339(moment)) if moment else "<unknown>"
    except (ValueError, TypeError):
        return "<invalid>"


def _selected(obj: Object, path: str) -> str:
    found = jsonpath.find(obj, path)
    if not found:
        return ""
    return str(found[0]).lower() if isinstance(found[0], bool) else str(found[0])
