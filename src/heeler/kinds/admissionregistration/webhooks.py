"""MutatingWebhookConfiguration and ValidatingWebhookConfiguration.

https://kubernetes.io/docs/reference/kubernetes-api/extend-resources/mutating-webhook-configuration-v1/
"""

from __future__ import annotations

from heeler.kinds.admissionregistration import rules
from heeler.kinds.kind import Column, Own
from heeler.kinds.printing import AGE, NAME, count_at
from heeler.objects.value import Object

GROUP = "admissionregistration.k8s.io"


def default_rules(rules: list[Object] | None) -> None:
    for rule in rules or ():
        rule.setdefault("scope", "*")


def _default_validating(configuration: Object, version: str) -> None:
    for webhook in configuration.get("webhooks", ()):
        webhook.setdefault("failurePolicy", "Fail")
        webhook.setdefault("matchPolicy", "Equivalent")
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("timeoutSeconds", 10)
        default_rules(webhook.get("rules"))
        service = webhook["clientConfig"].get("service")
        if service is not None:
            service.setdefault("port", 443)


def _default_mutating(configuration: Object, version: str) -> None:
    _default_validating(configuration, version)
    for webhook in configuration.get("webhooks", ()):
        webhook.setdefault("reinvocationPolicy", "Never")


_COLUMNS = (
    NAME,
    Column(
        "Webhooks",
        count_at("webhooks"),
        "integer",
        about="=Webhooks indicates the number of webhooks registered in this configuration",
    ),
    AGE,
)

MUTATING = Own(
    GROUP,
    "MutatingWebhookConfiguration",
    rules=lambda obj: rules.webhooks(obj, True),
    default=_default_mutating,
    generation=True,
    generation_of=("webhooks",),
    columns=_COLUMNS,
)
VALIDATING = Own(
    GROUP,
    "ValidatingWebhookConfiguration",
    rules=lambda obj: rules.webhooks(obj, False),
    default=_default_validating,
    generation=True,
    generation_of=("webhooks",),
    columns=_COLUMNS,
)
