"""PodTemplate. https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-template-v1/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.core.pod_warnings import of_workload
from heeler.kinds.core.podspec import default_template
from heeler.kinds.kind import Column, Own
from heeler.kinds.policy import rules
from heeler.kinds.printing import NAME, cell, container_columns, label_text
from heeler.objects.value import Object


def _default(holder: Object, version: str) -> None:
    default_template(holder["template"])


def _warnings(new: Object, old: Object | None) -> Iterator[str]:
    yield from of_workload(new, old, "template", named=False)


OWN = Own(
    "",
    "PodTemplate",
    rules=rules.pod_template,
    warnings=_warnings,
    pod_spec=("template", "spec"),
    default=_default,
    generation=True,
    generation_of=("template",),
    columns=(
        NAME,
        *container_columns("template.spec", 0),
        Column(
            "Pod Labels",
            cell(lambda obj: label_text(obj["template"]["metadata"].get("labels"))),
            about="=The labels for the pod template.",
        ),
    ),
)
