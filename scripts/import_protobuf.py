"""Make `src/heeler/kinds/schema/protobuf.json.gz`: Kubernetes' protobuf messages, field by field, with their JSON names.

    python scripts/import_protobuf.py REFERENCE_DIR

A field whose message stands inline in JSON has the name "". Source: reference/wire/k8s.json and the OpenAPI document.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

ROOTS = (
    ("k8s.io.api.", "io.k8s.api."),
    ("k8s.io.apimachinery.", "io.k8s.apimachinery."),
    ("k8s.io.apiextensions_apiserver.", "io.k8s.apiextensions-apiserver."),
    ("k8s.io.kube_aggregator.", "io.k8s.kube-aggregator."),
)


def definition(message: str) -> str:
    for ours, theirs in ROOTS:
        if message.startswith(ours):
            return theirs + message.removeprefix(ours)
    return message


def main() -> None:
    reference = Path(sys.argv[1])
    messages = json.loads((reference / "wire/k8s.json").read_text())["messages"]
    with gzip.open(reference / "apiserver/swagger-1.37.json.gz") as file:
        definitions = json.load(file)["definitions"]
    out: dict[str, list[list[object]]] = {}
    for message, fields in messages.items():
        properties = definitions.get(definition(message), {}).get("properties")
        rows: list[list[object]] = []
        for number, name, type_ in fields:
            json_name = name[0].lower() + name[1:]
            if properties is not None and name not in properties:
                folded = {p.lower(): p for p in properties}
                inline = type_ in messages and name.lower() not in folded
                json_name = "" if inline else folded.get(name.lower(), name)
            rows.append([number, json_name, type_])
        out[message] = rows
    target = Path(__file__).parent.parent / "src/heeler/kinds/schema/protobuf.json.gz"
    data = json.dumps(out, separators=(",", ":"), sort_keys=True).encode()
    target.write_bytes(gzip.compress(data, mtime=0))
    inlined = [f"{m}.{r[2]}" for m, rows in out.items() for r in rows if r[1] == ""]
    print(f"{len(out)} messages, {len(inlined)} inline fields, {target.stat().st_size} bytes")
    print("\n".join(inlined))


if __name__ == "__main__":
    main()
