"""Rendered templates as what a release is made of: documents in the order of their kinds, and hooks.

`sort` splits each file into documents, looks at their heads, and parts hooks from the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.decode import Record, decode
from heeler.packages.charts.load import Log
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

#: The order in which kinds are installed; others come after, by name.
INSTALL_ORDER = tuple(
    """
    PriorityClass Namespace NetworkPolicy ResourceQuota LimitRange PodSecurityPolicy PodDisruptionBudget ServiceAccount Secret
    SecretList ConfigMap StorageClass PersistentVolume PersistentVolumeClaim CustomResourceDefinition ClusterRole
    ClusterRoleList ClusterRoleBinding ClusterRoleBindingList Role RoleList RoleBinding RoleBindingList Service DaemonSet Pod
    ReplicationController ReplicaSet Deployment HorizontalPodAutoscaler StatefulSet Job CronJob IngressClass Ingress APIService
    MutatingWebhookConfiguration ValidatingWebhookConfiguration
    """.split()
)
#: The order in which kinds are removed.
UNINSTALL_ORDER = tuple(
    """
    ValidatingWebhookConfiguration MutatingWebhookConfiguration APIService Ingress IngressClass Service CronJob Job StatefulSet
    HorizontalPodAutoscaler Deployment ReplicaSet ReplicationController Pod DaemonSet RoleBindingList RoleBinding RoleList Role
    ClusterRoleBindingList ClusterRoleBinding ClusterRoleList ClusterRole CustomResourceDefinition PersistentVolumeClaim
    PersistentVolume StorageClass ConfigMap SecretList Secret ServiceAccount PodDisruptionBudget PodSecurityPolicy LimitRange
    ResourceQuota NetworkPolicy Namespace PriorityClass
    """.split()
)

#: Events as annotations name them, with what a release records.
EVENTS: Mapping[str, str] = {
    **{
        name: name
        for name in ("pre-install", "post-install", "pre-delete", "post-delete", "pre-upgrade", "post-upgrade")
    },
    **{name: name for name in ("pre-rollback", "post-rollback", "test")},
    "test-success": "test",
}

HOOK = "helm.sh/hook"
WEIGHT = "helm.sh/hook-weight"
DELETE_POLICY = "helm.sh/hook-delete-policy"
OUTPUT_LOG_POLICY = "helm.sh/hook-output-log-policy"


@dataclass(slots=True)
class _HeadMetadata:
    name: str = ""
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Head:
    """What is looked at of a document."""

    api_version: str = ""
    kind: str = ""
    metadata: _HeadMetadata = field(default_factory=_HeadMetadata)


_HEAD = Record(
    "SimpleHead",
    Head,
    {
        "apiVersion": ("api_version", str),
        "kind": ("kind", str),
        "metadata": (
            "metadata",
            Record(
                "",
                _HeadMetadata,
                {"name": ("name", str), "annotations": ("annotations", dict)},
                'struct { Name string "json:\\"name\\""; Annotations map[string]string "json:\\"annotations\\"" }',
            ),
        ),
    },
    "util.SimpleHead",
)


@dataclass(slots=True)
class Manifest:
    """A document: the file it comes from, its text, its head."""

    path: str
    content: str
    head: Head


@dataclass(slots=True)
class Hook:
    """A document that runs at an event. Policies are as the annotations list them."""

    name: str
    kind: str
    path: str
    manifest: str
    events: list[str]
    weight: int = 0
    delete_policies: list[str] = field(default_factory=list)
    output_log_policies: list[str] = field(default_factory=list)


_SEPARATOR = re.compile(r"^---\s*", re.MULTILINE)
_SPACE = " \t\n\v\f\r\x85\xa0"


def split(text: str) -> list[str]:
    """The documents of a rendered file: what stands between lines that begin with `---`. Blank ones are left out."""
    documents = (part.lstrip(_SPACE) for part in _SEPARATOR.split(text))
    return [document for document in documents if document.strip()]


def head_of(content: str, path: str) -> Head:
    """The head of a document. Raises `ChartError`."""
    try:
        head: Head = decode(read.parse(content), _HEAD)
    except GoError as error:
        raise ChartError(f"YAML parse error on {path}: {error}") from None
    return head


def sort(
    files: Mapping[str, str], order: Iterable[str], log: Log, *, known_heads: dict[str, Head] | None = None
) -> tuple[list[Hook], list[Manifest]]:
    """(hooks, documents) of rendered `files`, both by `order` of kinds and then as they stand. Raises `ChartError`."""
    manifests: list[Manifest] = []
    hooks: list[Hook] = []
    for path in sorted(files):
        if path.rsplit("/", 1)[-1].startswith("_") or not files[path].strip():
            continue
        for content in split(files[path]):
            head = head_of(content, path)
            if HOOK not in head.metadata.annotations:
                manifests.append(Manifest(path, content, head))
            elif (hook := _hook(path, content, head, log)) is not None:
                hooks.append(hook)
    places = {kind: place for place, kind in enumerate(order)}
    last = len(places)
    manifests.sort(key=lambda one: _place(one.head.kind, places, last))
    hooks.sort(key=lambda one: _place(one.kind, places, last))
    return hooks, manifests


def _place(kind: str, places: Mapping[str, int], last: int) -> tuple[int, str]:
    place = places.get(kind, last)
    return place, kind if place == last else ""


def _hook(path: str, content: str, head: Head, log: Log) -> Hook | None:
    annotations = head.metadata.annotations
    named = annotations[HOOK]
    events = []
    for word in named.split(","):
        event = EVENTS.get(word.strip().lower())
        if event is None:
            log("INFO", "skipping unknown hooks", hookTypes=named)
            return None
        events.append(event)
    weight = annotations.get(WEIGHT, "")
    return Hook(
        name=head.metadata.name,
        kind=head.kind,
        path=path,
        manifest=content,
        events=events,
        weight=int(weight) if re.fullmatch(r"[+-]?[0-9]{1,18}", weight) else 0,
        delete_policies=_listed(annotations, DELETE_POLICY),
        output_log_policies=_listed(annotations, OUTPUT_LOG_POLICY),
    )


def _listed(annotations: Mapping[str, str], name: str) -> list[str]:
    return [word.strip().lower() for word in annotations[name].split(",")] if name in annotations else []
