"""Make `src/heeler/kinds/schema/protobuf.json.gz`: Kubernetes' protobuf messages, field by field, with their JSON names.

    python scripts/import_protobuf.py REFERENCE_DIR

A field is [number, JSON name, type, is it written even when zero, Go's name where it isn't the JSON name with a capital]; a
field whose message stands inline in JSON has the name "". Messages and types come from reference/wire/k8s.json, the rest is
asked of the published Go types by the program in `gotypes/messages/` (needs Go).
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: Messages whose Go types hide the fields that are sent; they are read and written by hand (`kinds/protobuf/forms.py`).
OPAQUE = (
    "k8s.io.apimachinery.pkg.api.resource.Quantity",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time",
)


def rows(message: str, types: list[list[Any]], go: list[list[Any]]) -> list[list[Any]]:
    """A message's fields in the order of their numbers. Raises ValueError where both sources disagree."""
    of_go = {number: facts for number, *facts in go}
    if {number for number, _, _ in types} != set(of_go):
        raise ValueError(f"{message}: the fields' numbers differ")
    out: list[list[Any]] = []
    for number, _, type_ in sorted(types):
        json_name, always, go_name = of_go[number]
        usual = json_name[:1].upper() + json_name[1:]
        out.append([number, json_name, type_, int(always), *([go_name] if go_name != usual else [])])
    return out


def main() -> None:
    reference = Path(sys.argv[1])
    messages = json.loads((reference / "wire/k8s.json").read_text())["messages"]
    words = ["go", "run", "./messages"]
    done = subprocess.run(words, cwd=HERE / "gotypes", capture_output=True, text=True, check=True)
    go = json.loads(done.stdout)
    out = {name: rows(name, messages[name], go[name]) for name in messages if name in go and name not in OPAQUE}
    out |= {name: [] for name in OPAQUE}
    # lists of texts that are messages of their own: Go has them as slices
    out |= {name: [] for name in messages if name.endswith((".ExtraValue", ".AttestationValue", ".Verbs"))}
    missing = {
        word
        for fields in out.values()
        for _, _, type_, *_ in fields
        for word in [type_.removeprefix("repeated ").removeprefix("map<string,").removesuffix(">").strip()]
        if "." in word and word not in out
    }
    if missing:
        raise ValueError(f"messages that nobody describes: {sorted(missing)}")
    target = HERE.parent / "src/heeler/kinds/schema/protobuf.json.gz"
    data = json.dumps(out, separators=(",", ":"), sort_keys=True).encode()
    target.write_bytes(gzip.compress(data, mtime=0))
    inlined = [f"{message}.{row[2]}" for message, fields in out.items() for row in fields if row[1] == ""]
    print(f"{len(out)} messages, {len(inlined)} inline fields, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
