"""Kinds that are only ever the body of a request to a subresource, or its answer: no resource has them.

https://kubernetes.io/docs/reference/kubernetes-api/ has them under their groups.
"""

from __future__ import annotations

from heeler.kinds.autoscaling.scale import COLUMNS
from heeler.kinds.kind import Column, Kind, Own
from heeler.kinds.registry import SUBRESOURCE_TYPES


def _body(group: str, kind: str, columns: tuple[Column, ...] = ()) -> Kind:
    version = "v1"
    facts = {
        "group": group,
        "version": version,
        "kind": kind,
        "plural": f"{kind.lower()}s",
        "singular": kind.lower(),
        "type": SUBRESOURCE_TYPES[group, version, kind],
        "namespaced": True,
        "shortNames": (),
        "categories": (),
        "verbs": ("create",),
        "hash": "",
        "subresources": {},
    }
    return Kind([facts], Own(group, kind, columns=columns))


SCALE = _body("autoscaling", "Scale", COLUMNS)
EVICTION = _body("policy", "Eviction")
TOKEN_REQUEST = _body("authentication.k8s.io", "TokenRequest")
BINDING = _body("", "Binding")
