"""ConfigMap. https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/config-map-v1/"""

from __future__ import annotations

from heeler.kinds.core import config_rules
from heeler.kinds.kind import Column, Own
from heeler.kinds.printing import AGE, NAME
from heeler.objects.value import Object


def _entries(obj: Object, now: float) -> int:
    return len(obj.get("data") or ()) + len(obj.get("binaryData") or ())


OWN = Own(
    "",
    "ConfigMap",
    rules=config_rules.config_map,
    update_rules=config_rules.config_map_update,
    columns=(NAME, Column("Data", _entries, about="core.v1.ConfigMap.data"), AGE),
)
