"""Secret. https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/"""

from __future__ import annotations

import base64

from heeler.kinds.core import config_rules
from heeler.kinds.kind import Column, Own
from heeler.kinds.printing import AGE, NAME, count_at, text_at
from heeler.objects.value import Object


def _default(secret: Object, version: str) -> None:
    texts = secret.pop("stringData", None)
    if texts:
        data = secret.get("data") or {}
        secret["data"] = {**data, **{key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}}
    if not secret.get("type"):
        secret["type"] = "Opaque"


def _prepare_update(new: Object, old: Object) -> None:
    if not new.get("type"):
        new["type"] = old.get("type")


OWN = Own(
    "",
    "Secret",
    default=_default,
    prepare_update=_prepare_update,
    rules=config_rules.secret,
    update_rules=config_rules.secret_update,
    columns=(
        NAME,
        Column("Type", text_at("type"), about="core.v1.Secret.type"),
        Column("Data", count_at("data"), about="core.v1.Secret.data"),
        AGE,
    ),
    selectable={"type": lambda obj: str(obj.get("type", ""))},
    unsupported_label="field label not supported: {label}",
)
