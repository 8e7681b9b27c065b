"""What this version of Heeler stores but does not act upon yet: whoever creates it is told so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

#: (group, plural) -> what is missing. An entry goes when the capability comes.
NOT_ENFORCED = {
    ("networking.k8s.io", "networkpolicies"): "NetworkPolicy is not enforced by this version of Heeler",
    ("networking.k8s.io", "ingresses"): "Ingress is stored, but no ingress controller runs in this version of Heeler",
    ("autoscaling", "horizontalpodautoscalers"): "HorizontalPodAutoscaler is not acted upon by this version of Heeler",
    ("apps", "statefulsets"): "StatefulSet is not acted upon by this version of Heeler",
    ("apps", "daemonsets"): "DaemonSet is not acted upon by this version of Heeler",
    ("batch", "jobs"): "Job is not acted upon by this version of Heeler",
    ("batch", "cronjobs"): "CronJob is not acted upon by this version of Heeler",
    ("", "persistentvolumeclaims"): "PersistentVolumeClaim is stored, but nothing binds it in this version of Heeler",
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
    ): "admission webhooks are not called by this version of Heeler",
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
    ): "admission webhooks are not called by this version of Heeler",
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicies",
    ): "MutatingAdmissionPolicy is not enforced by this version of Heeler",
    ("apiregistration.k8s.io", "apiservices"): "APIService is stored, but nothing is proxied by this version of Heeler",
}


async def check(write: Write) -> None:
    if write.operation != "CREATE" or write.subresource or not write.context.server.settings.warn_not_enforced:
        return
    text = NOT_ENFORCED.get((write.kind.group, write.kind.plural))
    if text:
        write.call.warn(text)
    if write.of("apiextensions.k8s.io", "customresourcedefinitions") and write.new is not None:
        if any(_has_rules(version.get("schema")) for version in write.new["spec"].get("versions") or ()):
            write.call.warn("x-kubernetes-validations are not evaluated by this version of Heeler")


def _has_rules(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(_has_rules(value) for value in schema.values())
    return isinstance(schema, list) and any(_has_rules(value) for value in schema)
