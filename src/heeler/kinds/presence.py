"""What neither the published OpenAPI document nor the Go types say of a field.

Names are `<type's short name>.<field>`, where the short name lacks the leading `io.k8s.api.`.
"""

from __future__ import annotations

#: Defaults of list-map keys that an item may leave out.
KEY_DEFAULTS: dict[str, dict[str, object]] = {
    "core.v1.PodSpec.imagePullSecrets": {"name": ""},
    "core.v1.ServiceAccount.imagePullSecrets": {"name": ""},
    "core.v1.Container.ports": {"protocol": "TCP"},
    "core.v1.EphemeralContainer.ports": {"protocol": "TCP"},
    "core.v1.ServiceSpec.ports": {"protocol": "TCP"},
}


#: Lists and maps where an empty one, given, is not the same as none (it is refused, or stops a default).
KEPT_EMPTY = frozenset(
    {
        "autoscaling.v2.HPAScalingRules.policies",
        "core.v1.PersistentVolumeSpec.capacity",
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec.versions",
    }
)


def short_name(openapi_name: str) -> str:
    """The name as the tables above have it."""
    return openapi_name.removeprefix("io.k8s.api.").removeprefix("io.k8s.")
