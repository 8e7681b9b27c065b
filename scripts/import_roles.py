"""Make `src/heeler/apiserver/bootstrap/recorded.json` of the roles and bindings in recorded answers.

    python scripts/import_roles.py REFERENCE_DIR

The recordings hold a part of upstream's default roles; the rest is written by hand in `bootstrap/roles.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

KINDS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def main() -> None:
    found: dict[str, dict[str, dict[str, object]]] = {kind: {} for kind in KINDS}
    for line in (Path(sys.argv[1]) / "apiserver/cases/authz.jsonl").read_text().splitlines():
        for step in json.loads(line)["steps"]:
            body = step.get("response", {}).get("body")
            if isinstance(body, dict) and body.get("kind") in KINDS:
                metadata = body["metadata"]
                if (metadata.get("labels") or {}).get("kubernetes.io/bootstrapping") != "rbac-defaults":
                    continue
                key = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
                entry = {k: body[k] for k in ("rules", "roleRef", "subjects", "aggregationRule") if k in body}
                extra = {k: v for k, v in metadata["labels"].items() if k != "kubernetes.io/bootstrapping"}
                if extra:
                    entry["labels"] = extra
                found[body["kind"]][key] = entry
    target = Path(__file__).parent.parent / "src/heeler/apiserver/bootstrap/recorded.json"
    target.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
