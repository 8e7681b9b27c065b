"""What a CustomResourceDefinition must be. Its schemas' rules stand in `schema_rules.py`.

Paths are those of the server's internal form: what all versions have in common is told of once, above the versions
(`spec.validation`, `spec.subresources`, `spec.additionalPrinterColumns`, `spec.selectableFields`).
Source: https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from heeler.kinds.admissionregistration.rules import client_config
from heeler.kinds.apiextensions import approval
from heeler.kinds.apiextensions.schema_rules import find, schema_rules
from heeler.kinds.custom.cel_rules import exceeds_alone
from heeler.kinds.custom.formats import is_known
from heeler.kinds.internal_form import internal
from heeler.kinds.types import type_named
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required, too_many
from heeler.objects.value import Object

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_VERSION_TYPE = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion"
#: A version's part -> its place when all versions have it in common.
_SHARED = {
    "schema": "validation",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}


def create_rules(definition: Object) -> Iterator[Fault]:
    spec = definition["spec"]
    yield from _name(definition["metadata"].get("name", ""), spec)
    yield from _spec(spec)
    yield from _names((definition.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    yield from _stored_versions(definition)
    yield from _approval(definition)
    yield from _never_unpruned(spec)


def _never_unpruned(spec: Object) -> Iterator[Fault]:
    if spec.get("preserveUnknownFields"):
        words = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        )
        yield invalid("spec.preserveUnknownFields", True, words)


def update_rules(new: Object, old: Object) -> Iterator[Fault]:
    """Names, scope and group stay once the definition is established."""
    spec, before = new["spec"], old["spec"]
    same = new["spec"].get("versions") == old["spec"].get("versions")
    # what a rule alone is estimated at is not held against a definition again whose schemas stay as they are
    yield from (fault for fault in _spec(spec) if not (same and exceeds_alone(fault)))
    conditions = (old.get("status") or {}).get("conditions") or ()
    established = any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)
    fixed = [("group", "spec.group"), ("names.plural", "spec.names.plural")]
    if established:
        fixed += [("scope", "spec.scope"), ("names.kind", "spec.names.kind")]
    for steps, path in sorted(fixed, key=lambda row: row[1] not in ("spec.scope", "spec.names.kind")):
        given, was = _at(spec, steps), _at(before, steps)
        if given != was:
            yield invalid(path, given or "", "field is immutable")
    yield from _stored_versions(new, kept=True)
    # a definition that was never approved may stay as it is
    faults = list(_approval(new))
    if faults != list(_approval(old)):
        yield from faults
    if not before.get("preserveUnknownFields"):
        yield from _never_unpruned(spec)


def status_rules(new: Object, old: Object) -> Iterator[Fault]:
    status = new.get("status") or {}
    yield from _names(status.get("acceptedNames") or {}, "status.acceptedNames")


def warnings(new: Object, old: Object | None) -> Iterator[str]:
    """Formats that are not checked, and sets of what only the schema's validation can compare."""
    told: dict[str, bool] = {}
    for version in new["spec"].get("versions") or ():
        parts = list(_parts_of(_schema(version) or {}))
        forms = sorted({part["format"] for part in parts if isinstance(part.get("format"), str) and part["format"]})
        texts = [f'unrecognized format "{form}"' for form in forms if not is_known(form)]
        items = sorted({(part.get("items") or {}).get("type") or "" for part in parts if _is_set(part)})
        texts += [
            f'x-kubernetes-list-type: set for items of type "{form}" is not supported by server-side apply or CEL '
            "validation rules"
            for form in items
            if form in ("array", "object")
        ]
        for text in texts:
            if text not in told:
                told[text] = True
                yield text


def _is_set(schema: Object) -> bool:
    return schema.get("x-kubernetes-list-type") == "set" and isinstance(schema.get("items"), dict)


def _parts_of(schema: Object) -> Iterator[Object]:
    """The schema and all that are inside of it."""
    yield schema
    for key, part in schema.items():
        if key in ("properties", "patternProperties", "definitions"):
            for inner in (part or {}).values():
                yield from _parts_of(inner)
        elif key in ("items", "not", "additionalProperties") and isinstance(part, dict):
            yield from _parts_of(part)


def _at(spec: Object, steps: str) -> Any:
    here: Any = spec
    for step in steps.split("."):
        here = (here or {}).get(step)
    return here


def _name(name: str, spec: Object) -> Iterator[Fault]:
    plural, group = (spec.get("names") or {}).get("plural", ""), spec.get("group", "")
    if name and name != f"{plural}.{group}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _one_of(value: str, allowed: tuple[str, ...], path: str) -> Iterator[Fault]:
    if not value:
        yield required(path)
    elif value not in allowed:
        yield not_supported(path, value, allowed)


def _spec(spec: Object) -> Iterator[Fault]:
    group = spec.get("group", "")
    if not group:
        yield required("spec.group")
    elif words := names.subdomain(group):
        yield invalid("spec.group", group, ",".join(words))
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")
    yield from _one_of(spec.get("scope", ""), ("Cluster", "Namespaced"), "spec.scope")
    versions = spec.get("versions") or []
    unpruned = bool(spec.get("preserveUnknownFields"))
    if unpruned and any("default" in part for version in versions for part in _parts_of(_schema(version) or {})):
        yield invalid("spec.preserveUnknownFields", True, "must be false in order to use defaults in the schema")
    shared = {key: all(v.get(key) == versions[0].get(key) for v in versions) for key in _SHARED if versions}
    for at, version in enumerate(versions):
        if _schema(version) is None:
            yield required(f"spec.versions[{at}].schema.openAPIV3Schema")
    for at, version in enumerate(versions):
        yield from _version(version, f"spec.versions[{at}]", shared)
    yield from _versions(spec, versions, shared)
    given = spec.get("names") or {}
    for key in ("plural", "singular", "kind", "listKind"):
        if not given.get(key):
            yield required(f"spec.names.{key}")
    yield from _names(given, "spec.names")
    if versions:
        paths = {key: f"spec.{place}" for key, place in _SHARED.items()}
        yield from _parts(versions[0], paths, [key for key in _SHARED if shared[key]])
    yield from _conversion(spec.get("conversion"), unpruned)


def _versions(spec: Object, versions: list[Object], shared: Mapping[str, bool]) -> Iterator[Fault]:
    given = [version.get("name", "") for version in versions]
    if len(dict.fromkeys(given)) < len(given):
        yield invalid("spec.versions", _shown(versions, shared), "must contain unique version names")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        words = "must have exactly one version marked as storage version"
        shown = None if spec.get("versions") is None else _shown(versions, shared)
        yield invalid("spec.versions", shown, words)
    if given and given[0] and (words_ := names.label_1035(given[0])):
        yield invalid("spec.version", given[0], ",".join(words_))


def _shown(versions: list[Object], shared: Mapping[str, bool]) -> list[Any]:
    """The versions as a message shows them: what they have in common is told elsewhere."""
    form = type_named(_VERSION_TYPE)
    wanted = (
        "Name Served Storage Deprecated DeprecationWarning Schema Subresources AdditionalPrinterColumns SelectableFields"
    ).split()
    out = []
    for version in versions:
        own = {key: value for key, value in version.items() if not shared.get(key)}
        row = internal(own, form)
        out.append({key: row.get(key) for key in wanted})
    return out


def _version(version: Object, path: str, shared: Mapping[str, bool]) -> Iterator[Fault]:
    name = version.get("name", "")
    if words := names.label_1035(name):
        yield invalid(f"{path}.name", name, ",".join(words))
    warning = version.get("deprecationWarning")
    if warning is not None:
        for text in _warning(bool(version.get("deprecated")), warning):
            yield invalid(f"{path}.deprecationWarning", warning, text)
    paths = {key: f"{path}.{key}" for key in _SHARED}
    yield from _parts(version, paths, [key for key in _SHARED if not shared[key]])


def _warning(deprecated: bool, text: str) -> Iterator[str]:
    if not deprecated:
        yield "can only be set for deprecated versions"
    if len(text.encode()) > 256:
        yield "must be <= 256 characters long"
    if not text:
        yield "must not be an empty string"
    for at, char in enumerate(text):
        if not char.isprintable():
            where = len(text[:at].encode())
            yield f"must only contain printable UTF-8 characters; non-printable character found at index {where}"
            break


def _schema(version: Object) -> Object | None:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    return schema if isinstance(schema, dict) else None


def _parts(version: Object, paths: Mapping[str, str], keys: list[str]) -> Iterator[Fault]:
    """Schema, subresources, columns and selectable fields of a version (or of all), as far as `keys` names them."""
    schema, subresources = _schema(version), version.get("subresources") or {}
    rules: dict[str, Callable[[str], Iterator[Fault]]] = {
        "schema": lambda path: _schema_rules(version, path, subresources.get("status") is not None),
        "subresources": lambda path: _scale(subresources.get("scale"), f"{path}.scale"),
        "additionalPrinterColumns": lambda path: _columns(version.get("additionalPrinterColumns") or [], path),
        "selectableFields": lambda path: _selectable(version.get("selectableFields") or [], schema, path),
    }
    for key in keys:
        yield from rules[key](paths[key])


def _schema_rules(version: Object, path: str, status: bool) -> Iterator[Fault]:
    schema = _schema(version)
    if schema is not None:
        yield from schema_rules(schema, f"{path}.openAPIV3Schema", status)


def _names(given: Object, path: str) -> Iterator[Fault]:
    kind, list_kind = given.get("kind", ""), given.get("listKind", "")
    for key in ("plural", "singular"):
        if given.get(key) and (words := names.label_1035(given[key])):
            yield invalid(f"{path}.{key}", given[key], ",".join(words))
    for key, text in (("kind", kind), ("listKind", list_kind)):
        if text and (words := names.label_1035(text.lower())):
            mixed = "may have mixed case, but should otherwise match: "
            yield invalid(f"{path}.{key}", text, mixed + ",".join(words))
    for at, name in enumerate(given.get("shortNames") or ()):
        if words := names.label_1035(name):
            yield invalid(f"{path}.shortNames[{at}]", name, ",".join(words))
    if kind and kind == list_kind:
        yield invalid(f"{path}.listKind", list_kind, "kind and listKind may not be the same")
    for at, name in enumerate(given.get("categories") or ()):
        if words := names.label_1035(name):
            yield invalid(f"{path}.categories[{at}]", name, ",".join(words))


def _simple_path(text: str, path: str) -> Iterator[Fault]:
    if not text.startswith("."):
        yield invalid(path, text, "must be a simple json path starting with .")


def _columns(columns: list[Object], path: str) -> Iterator[Fault]:
    for at, column in enumerate(columns):
        here = f"{path}[{at}]"
        if not column.get("name"):
            yield required(f"{here}.name")
        form = column.get("type", "")
        if not form:
            yield required(f"{here}.type", f"must be one of {','.join(_COLUMN_TYPES)}")
        elif form not in _COLUMN_TYPES:
            yield invalid(f"{here}.type", form, f"must be one of {','.join(_COLUMN_TYPES)}")
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            yield invalid(f"{here}.format", column["format"], f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not column.get("jsonPath"):
            yield required(f"{here}.JSONPath")
        else:
            yield from _simple_path(column["jsonPath"], f"{here}.JSONPath")


def _scale(scale: Object | None, path: str) -> Iterator[Fault]:
    if scale is None:
        return
    for key, part in (("specReplicasPath", "spec"), ("statusReplicasPath", "status")):
        text = scale.get(key, "")
        if not text:
            yield required(f"{path}.{key}")
        elif not text.startswith("."):
            yield from _simple_path(text, f"{path}.{key}")
        elif not text.startswith(f".{part}."):
            yield invalid(f"{path}.{key}", text, f"should be a json path under .{part}")
    text = scale.get("labelSelectorPath")
    if text:
        if not text.startswith("."):
            yield from _simple_path(text, f"{path}.labelSelectorPath")
        elif not text.startswith((".spec.", ".status.")):
            words = "should be a json path under either .spec or .status"
            yield invalid(f"{path}.labelSelectorPath", text, words)


def _unfit_path(text: str) -> str:
    """What is wrong with the form of a selectable field's path: it is names after points, no index and no quotes."""
    if "[" in text:
        return "array notation is not allowed"
    if not text.startswith("."):
        return f"expected [ or . but got: {text.partition('.')[0]}"
    return "unexpected end of JSON path" if text.endswith(".") else ""


def _selectable(fields: list[Object], schema: Object | None, path: str) -> Iterator[Fault]:
    if fields and schema is None:
        yield invalid(path, "", "may only be set when validations.schema is included")
        return
    seen: dict[str, bool] = {}
    for at, field in enumerate(fields):
        here, text = f"{path}[{at}].jsonPath", field.get("jsonPath", "")
        if not text:
            yield required(here)
            continue
        found = find(schema or {}, text)
        if found is None or _unfit_path(text):
            words = _unfit_path(text) or "does not refer to a valid field"
            yield invalid(here, text, f"is an invalid path: {words}")
            continue
        if text.startswith(".metadata"):
            yield invalid(here, text, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            words = "must point to a field of type string, boolean or integer. "
            yield invalid(here, text, words + "Enum string fields and strings with formats are allowed.")
        if text in seen:
            yield duplicate(here, text)
        seen[text] = True
    if len(fields) > 8:
        yield too_many(path, len(fields), 8)


def _conversion(conversion: Object | None, unpruned: bool) -> Iterator[Fault]:
    if conversion is None:
        return
    path, strategy, hook = "spec.conversion", conversion.get("strategy", ""), conversion.get("webhook") or {}
    if unpruned and strategy != "None":
        yield invalid(f"{path}.strategy", strategy, "must be None if spec.preserveUnknownFields is true")
    yield from _one_of(strategy, ("None", "Webhook"), f"{path}.strategy")
    config, reviews = hook.get("clientConfig"), hook.get("conversionReviewVersions") or []
    if strategy == "Webhook":
        if config is None:
            yield required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
        else:
            yield from client_config(config, f"{path}.webhookClientConfig")
        yield from _reviews(reviews, f"{path}.conversionReviewVersions")
        return
    words = "should not be set when strategy is not set to Webhook"
    if config is not None:
        yield forbidden(f"{path}.webhookClientConfig", words)
    if reviews:
        yield forbidden(f"{path}.conversionReviewVersions", words)


def _reviews(versions: list[str], path: str) -> Iterator[Fault]:
    if not versions:
        yield required(path)
        return
    for at, version in enumerate(versions):
        if version in versions[:at]:
            yield invalid(f"{path}[{at}]", version, "duplicate version")
            continue
        for words in names.label_1035(version):
            yield invalid(f"{path}[{at}]", version, words)
    if not any(version in ("v1", "v1beta1") for version in versions):
        yield invalid(path, versions, "must include at least one of v1, v1beta1")


def _stored_versions(definition: Object, kept: bool = False) -> Iterator[Fault]:
    """`kept`: the definition's versions are written, not its status."""
    stored = (definition.get("status") or {}).get("storedVersions")
    if not stored:
        yield invalid("status.storedVersions", stored, "must have at least one stored version")
        return
    known = [version.get("name", "") for version in definition["spec"].get("versions") or ()]
    for at, version in enumerate(stored):
        if version not in known:
            why = (
                f"missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions "
                f"until a storage migration ensures no data remains persisted in {version} and removes {version} from "
                "status.storedVersions"
            )
            yield invalid(f"status.storedVersions[{at}]", version, why if kept else "must appear in spec.versions")
    for version in [v.get("name", "") for v in definition["spec"].get("versions") or () if v.get("storage")]:
        if version not in stored:
            yield invalid("status.storedVersions", stored, f"must have the storage version {version}")


def _approval(definition: Object) -> Iterator[Fault]:
    """Kubernetes' own groups are taken with its reviewers' consent only, or by who says that there is none."""
    if approval.is_protected(definition["spec"].get("group", "")):
        yield from approval.faults(definition)
