#!/usr/bin/env python3
"""Add to `src/heeler/kinds/schema/types.json.gz` what Kubernetes' Go types say of their fields (needs Go).

    import_go_types.py

Run it after `import_schema.py`, with the versions in `gotypes/go.mod` at those of the OpenAPI document. A field's row gets
"p" (a pointer), "o" (left out when empty), "n" (the Go name of its own type), "i" (that of what it holds) and "e" (the
structs that it is embedded through); fields come in the order of the struct. What the document lacks is left out.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FILE = HERE.parent / "src" / "heeler" / "kinds" / "schema" / "types.json.gz"
KEYS = {"pointer": "p", "omit": "o", "named": "n", "item": "i", "embedded": "e"}


def main() -> int:
    done = subprocess.run(["go", "run", "."], cwd=HERE / "gotypes", check=True, capture_output=True)
    go: dict[str, dict[str, dict[str, Any]]] = json.loads(done.stdout)
    types = json.loads(gzip.decompress(FILE.read_bytes()))
    missing = []
    for name, fact in types.items():
        short = name.removeprefix("io.k8s.api.").removeprefix("io.k8s.")
        for key, row in fact["f"].items():
            for code in KEYS.values():
                row.pop(code, None)
            found = go.get(short, {}).get(key)
            if found is None:
                missing.append(f"{short}.{key}")
                continue
            for word, code in KEYS.items():
                value = found.get(word)
                if value and value != "TypeMeta":
                    row[code] = 1 if value is True else value
        rows, last = fact["f"], len(fact["f"])
        fact["f"] = {
            key: rows[key] for key in sorted(rows, key=lambda key: go.get(short, {}).get(key, {}).get("place", last))
        }
    text = json.dumps(types, separators=(",", ":"), sort_keys=False)
    FILE.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{len(types)} types; not in Go: {', '.join(missing) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
