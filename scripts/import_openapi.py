#!/usr/bin/env python3
"""Make `src/heeler/kinds/schema/openapi.json.gz` out of the documents that a running kube-apiserver serves.

    import_openapi.py https://127.0.0.1:6443 TOKEN

What its OpenAPI v3 documents say of built-in types and v2's don't: defaults, enums, unions. Only facts are kept, no prose.
`schemas` are the types by their names; `documents` say which types stand in which document, with the kinds they are there;
`marks` are the kinds that they are in the v2 document, which is about all groups.
"""

from __future__ import annotations

import gzip
import json
import ssl
import sys
import urllib.request
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parent.parent / "src" / "heeler" / "kinds" / "schema" / "openapi.json.gz"
MARK = "x-kubernetes-group-version-kind"


def fetch(url: str, token: str) -> Any:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    with urllib.request.urlopen(asked, context=context) as answer:
        return json.loads(answer.read())


def without_prose(node: Any) -> Any:
    """A schema without its descriptions; a property that is called `description` stays."""
    if isinstance(node, list):
        return [without_prose(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {k: without_prose(v) for k, v in node.items() if not (k == "description" and isinstance(v, str))}


def kinds_of(marks: list[dict[str, str]]) -> list[list[str]]:
    return [[mark["group"], mark["version"], mark["kind"]] for mark in marks]


def main() -> None:
    url, token = sys.argv[1:]
    schemas: dict[str, Any] = {}
    documents: dict[str, Any] = {}
    for key, entry in sorted(fetch(f"{url}/openapi/v3", token)["paths"].items()):
        document = fetch(url + entry["serverRelativeURL"], token)
        if "CRD" in document["info"]["title"]:
            continue  # a definition's
        found = document.get("components", {}).get("schemas", {})
        marks = documents[key] = {}
        for name, schema in sorted(found.items()):
            schema = without_prose(schema)
            marks[name] = kinds_of(schema.pop(MARK, []))
            if schemas.setdefault(name, schema) != schema:
                raise SystemExit(f"{name} differs between documents")
    definitions = fetch(f"{url}/openapi/v2", token)["definitions"]
    marks = {name: kinds_of(node[MARK]) for name, node in definitions.items() if name in schemas and MARK in node}
    facts = {"schemas": schemas, "documents": documents, "marks": marks}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    OUT.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
