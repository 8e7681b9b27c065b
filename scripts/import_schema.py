#!/usr/bin/env python3
"""Make `src/heeler/kinds/schema/*.json.gz` out of the published OpenAPI and discovery documents.

    import_schema.py REFERENCE_DIR

REFERENCE_DIR holds `apiserver/` (swagger-*.json.gz, discovery/*.json.gz, cases/discovery.jsonl) and `wire/k8s.json`.
Only facts are taken (names, forms, list types, merge keys, verbs), no prose. What the documents do not say of fields
(pointers, what is written when empty) `import_go_types.py` adds; defaults and rules are written by hand in `heeler/kinds/`.

The order of a struct's fields is taken from the protobuf tables here, and then from the Go types.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "src" / "heeler" / "kinds" / "schema"

SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "microtime",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "duration",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "intorstring",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "any",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch": "any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "any",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "any",
}


def shape(node: dict[str, Any]) -> Any:
    """A node's shape: a scalar's form, `#Name` of a struct, `[item]` of a list, `{"map": item}` of a map."""
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/definitions/")
        return SCALARS.get(name) or "#" + name
    kind = node.get("type")
    if kind == "string":
        return {"byte": "bytes", "date-time": "time", "int-or-string": "intorstring"}.get(node.get("format"), "string")
    if kind == "integer":
        return node["format"]
    if kind == "number":
        return "float"
    if kind == "boolean":
        return "bool"
    if kind == "array":
        return [shape(node["items"])]
    if kind == "object" and "additionalProperties" in node:
        return {"map": shape(node["additionalProperties"])}
    return "any"


def field(node: dict[str, Any], needed: bool) -> dict[str, Any]:
    """One field: `t` its shape; r(equired), l(ist type), k(eys), a(tomic), s(trategy), m(erge key) if it has it.

    `b`: where its description breaks lines (its length, then offsets), as other carriers of the text lose the breaks.
    """
    out: dict[str, Any] = {"t": shape(node)}
    if needed:
        out["r"] = 1
    for key, fact in (
        ("l", "x-kubernetes-list-type"),
        ("k", "x-kubernetes-list-map-keys"),
        ("s", "x-kubernetes-patch-strategy"),
        ("m", "x-kubernetes-patch-merge-key"),
    ):
        if fact in node:
            out[key] = node[fact]
    if "x-kubernetes-map-type" in node:
        out["a"] = int(node["x-kubernetes-map-type"] == "atomic")
    text = node.get("description", "").strip()
    breaks = [at for at, char in enumerate(text) if char == "\n"]
    if breaks:
        out["b"] = [len(text), *breaks]
    return out


def flat(messages: dict[str, Any], message: str, names: set[str]) -> list[str]:
    """A message's field names; one that JSON lacks is an embedded struct, and its fields stand in its place."""
    out: list[str] = []
    for row in messages.get(message, []):
        if row[1] in names or row[2] not in messages:
            out.append(row[1])
        else:
            out += flat(messages, row[2], names)
    return out


def written_order(name: str, names: list[str], messages: dict[str, Any]) -> list[str]:
    """Field names in the order of the Go struct, which is that of the protobuf message."""
    rows = flat(messages, "k8s.io." + name.removeprefix("io.k8s.").replace("-", "_"), set(names))
    rank = {row: at for at, row in reversed(list(enumerate(rows)))}
    rank |= {"kind": -2, "apiVersion": -1} if "metadata" in names and "kind" in names else {}
    return sorted(names, key=lambda n: (rank.get(n, len(rank)), n))


def types(swagger: dict[str, Any], messages: dict[str, Any]) -> dict[str, Any]:
    out = {}
    for name, node in sorted(swagger["definitions"].items()):
        if name in SCALARS:
            continue
        properties = node.get("properties", {})
        needed = set(node.get("required", []))
        entry: dict[str, Any] = {
            "f": {key: field(properties[key], key in needed) for key in written_order(name, list(properties), messages)}
        }
        if node.get("x-kubernetes-map-type") == "atomic":
            entry["a"] = 1
        out[name] = entry
    return out


def type_names(swagger: dict[str, Any]) -> dict[tuple[str, str, str], str]:
    """The definition of each group, version and kind that has one of its own."""
    out = {}
    for name, node in sorted(swagger["definitions"].items()):
        gvks = node.get("x-kubernetes-group-version-kind", [])
        if len(gvks) == 1:
            out[gvks[0]["group"], gvks[0]["version"], gvks[0]["kind"]] = name
    return out


def served_by_default(cases: Path) -> tuple[list[str], set[tuple[str, str, str]]]:
    """Groups in discovery order and the (group, version, resource) that a default server serves."""
    order: list[str] = [""]
    served: set[tuple[str, str, str]] = set()
    for line in cases.read_text().splitlines():
        for step in json.loads(line)["steps"]:
            body = step["response"].get("body")
            if not isinstance(body, dict):
                continue
            if body.get("kind") == "APIGroupDiscoveryList" and step["request"]["path"].rstrip("/") == "/apis":
                for item in body["items"]:
                    group = item["metadata"]["name"]
                    if group not in order:
                        order.append(group)
                    for version in item["versions"]:
                        served |= {(group, version["version"], r["resource"]) for r in version["resources"]}
            elif body.get("kind") == "APIResourceList" and body["groupVersion"] == "v1":
                served |= {("", "v1", r["name"]) for r in body["resources"] if "/" not in r["name"]}
    return order, served


def kinds(documents: dict[str, Any], cases: Path, names: dict[tuple[str, str, str], str]) -> dict[str, Any]:
    order, served = served_by_default(cases)
    rows = []
    for _, document in sorted(documents.items()):
        if document.get("kind") != "APIResourceList":
            continue
        group, _, version = document["groupVersion"].rpartition("/")
        resources: dict[str, dict[str, Any]] = {}
        subresources = []
        for r in document["resources"]:
            plural, _, sub = r["name"].partition("/")
            place = {"group": r.get("group", group), "version": r.get("version", version), "kind": r["kind"]}
            if sub:
                entry = {**place, "verbs": r["verbs"]}
                if "group" in r or "version" in r:
                    entry["foreign"] = True
                subresources.append((plural, sub, entry))
                continue
            resources[plural] = {
                "group": group,
                "version": version,
                "plural": plural,
                "singular": r["singularName"],
                "kind": r["kind"],
                "type": names.get((group, version, r["kind"]), ""),
                "namespaced": r["namespaced"],
                "shortNames": r.get("shortNames", []),
                "categories": r.get("categories", []),
                "verbs": r["verbs"],
                "hash": r.get("storageVersionHash", ""),
                "served": (group, version, plural) in served,
                "subresources": {},
            }
        for plural, sub, entry in subresources:
            resources[plural]["subresources"][sub] = entry
        rows += resources.values()
    groups = {g["name"]: [v["version"] for v in g["versions"]] for g in documents["apis.json"]["groups"]}
    groups[""] = ["v1"]
    rank = {g: i for i, g in enumerate(order)}
    return {
        "groups": [[g, groups[g]] for g in sorted(groups, key=lambda g: (rank.get(g, len(rank)), g))],
        "kinds": rows,
    }


def write(name: str, value: Any) -> None:
    text = json.dumps(value, separators=(",", ":"), sort_keys=False).encode()
    (OUT / name).write_bytes(gzip.compress(text, 9, mtime=0))


def main(reference: Path) -> None:
    api = reference / "apiserver"
    swagger = json.loads(gzip.decompress(next(api.glob("swagger-*.json.gz")).read_bytes()))
    documents = json.loads(gzip.decompress(next((api / "discovery").glob("*.json.gz")).read_bytes()))
    messages = json.loads((reference / "wire" / "k8s.json").read_text())["messages"]
    write("types.json.gz", types(swagger, messages))
    write("kinds.json.gz", kinds(documents, api / "cases" / "discovery.jsonl", type_names(swagger)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
