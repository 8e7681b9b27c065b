"""A pod as the scheduler sees it. What follows from its spec and labels is worked out once for all pods of one template."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from heeler.client.informer import key_of
from heeler.objects import selectors
from heeler.objects.selectors import LabelSelector, Requirement
from heeler.objects.value import Object, labels_of
from heeler.workloads import pods, resources, volumes
from heeler.workloads.resources import Amounts

#: What a container without requests counts with when nodes are compared (not when they are filtered).
DEFAULT_MILLI_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
#: Templates that are remembered; one that is forgotten is worked out again.
MAX_TEMPLATES = 4096
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


class Term(NamedTuple):
    """One wish of a pod about others: those that match, in the domains of a topology key."""

    selector: LabelSelector
    topology: str
    namespaces: tuple[str, ...]
    #: None: no other namespaces than `namespaces`.
    namespace_selector: LabelSelector | None

    def matches(self, labels: Mapping[str, str], namespace: str, namespace_labels: Mapping[str, str]) -> bool:
        there = namespace in self.namespaces or (
            self.namespace_selector is not None and self.namespace_selector.matches(namespace_labels)
        )
        return there and self.selector.matches(labels)


class Weighted(NamedTuple):
    """A preferred term; away from such pods if the weight is negative."""

    term: Term
    weight: int


class Constraint(NamedTuple):
    """One topology spread constraint, its defaults filled in."""

    topology: str
    selector: LabelSelector
    max_skew: int
    min_domains: int
    hard: bool
    honor_affinity: bool
    honor_taints: bool


class Template:
    """What pods of equal spec and labels in a namespace have in common."""

    def __init__(self, pod: Object, key: bytes = b"") -> None:
        spec = pod["spec"]
        self.key = key or template_key(pod)
        self.spec: Object = spec
        self.labels: dict[str, str] = labels_of(pod)
        self.namespace: str = pod["metadata"].get("namespace", "")
        self.priority = int(spec.get("priority") or 0)
        self.requests: Amounts = resources.requests(pod)
        self.ports = resources.host_ports(pod)
        self.tolerations: list[Object] = spec.get("tolerations") or []
        #: Pods with equal ones are tolerated and wanted by the same nodes.
        self.tolerations_key = orjson.dumps(self.tolerations)
        node_affinity = (spec.get("affinity") or {}).get("nodeAffinity")
        self.node_key = orjson.dumps([spec.get("nodeSelector") or None, node_affinity])
        #: Kept by the table: what counts pods of this template, and which wishes of others it meets, with their versions.
        self.counted: tuple[object, tuple[Any, ...]] = (None, ())
        self.wished: dict[str, tuple[object, tuple[Any, ...]]] = {}

    @cached_property
    def scored(self) -> tuple[int, int]:
        """CPU and memory that count when nodes are compared."""
        own = [*(self.spec.get("containers") or ())]
        asked: Object = {
            **self.spec,
            "containers": [_at_least(container) for container in own],
            "initContainers": [_at_least(container) for container in self.spec.get("initContainers") or ()],
        }
        found = resources.requests({"spec": asked})
        return found.get("cpu", 0), found.get("memory", 0)

    @cached_property
    def images(self) -> tuple[str, ...]:
        containers = [*(self.spec.get("containers") or ()), *(self.spec.get("initContainers") or ())]
        return tuple(_tagged(container.get("image") or "") for container in containers)

    # wishes about other pods

    @cached_property
    def near(self) -> tuple[Term, ...]:
        return self._required("podAffinity")

    @cached_property
    def far(self) -> tuple[Term, ...]:
        return self._required("podAntiAffinity")

    @cached_property
    def preferred(self) -> tuple[Weighted, ...]:
        found = []
        for kind, sign in (("podAffinity", 1), ("podAntiAffinity", -1)):
            entries = self._affinity(kind).get("preferredDuringSchedulingIgnoredDuringExecution") or ()
            found += [
                Weighted(self._term(one["podAffinityTerm"]), sign * int(one.get("weight") or 0)) for one in entries
            ]
        return tuple(found)

    @cached_property
    def is_choosy(self) -> bool:
        affinity = self.spec.get("affinity") or {}
        return "podAffinity" in affinity or "podAntiAffinity" in affinity

    def _affinity(self, kind: str) -> Object:
        return (self.spec.get("affinity") or {}).get(kind) or {}

    def _required(self, kind: str) -> tuple[Term, ...]:
        entries = self._affinity(kind).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        return tuple(self._term(entry) for entry in entries)

    def _term(self, term: Object) -> Term:
        selector = selectors.of_object(term.get("labelSelector"))
        more = [*self._like("=", term.get("matchLabelKeys")), *self._like("!=", term.get("mismatchLabelKeys"))]
        named = tuple(term.get("namespaces") or ())
        chosen = term.get("namespaceSelector")
        if not named and chosen is None:
            named = (self.namespace,)
        return Term(
            LabelSelector((*selector.requirements, *more), selector.nothing),
            term["topologyKey"],
            named,
            None if chosen is None else selectors.of_object(chosen),
        )

    def _like(self, operator: str, keys: Iterable[str] | None) -> Iterable[Requirement]:
        """Labels that others must, or must not, have as this pod does."""
        return (Requirement(key, operator, (self.labels[key],)) for key in keys or () if key in self.labels)

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        return tuple(self.constraint(one) for one in self.spec.get("topologySpreadConstraints") or ())

    def constraint(self, given: Object) -> Constraint:
        selector = selectors.of_object(given.get("labelSelector"))
        more = tuple(self._like("=", given.get("matchLabelKeys")))
        return Constraint(
            given["topologyKey"],
            LabelSelector((*selector.requirements, *more), selector.nothing),
            int(given["maxSkew"]),
            int(given.get("minDomains") or 1),
            given.get("whenUnsatisfiable") == "DoNotSchedule",
            given.get("nodeAffinityPolicy") != "Ignore",
            given.get("nodeTaintsPolicy") == "Honor",
        )


def _at_least(container: Object) -> Object:
    """A container with the requests that it has in comparisons."""
    given = container.get("resources") or {}
    asked = {**(given.get("limits") or {}), **(given.get("requests") or {})}
    asked.setdefault("cpu", f"{DEFAULT_MILLI_CPU}m")
    asked.setdefault("memory", str(DEFAULT_MEMORY))
    return {**container, "resources": {"requests": asked}}


def _tagged(name: str) -> str:
    """An image name with its tag."""
    return name if ":" in name.rsplit("/", 1)[-1] or "@" in name else f"{name}:latest"


class Templates:
    """Finds the template of a pod; the least recently used are forgotten."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Template] = OrderedDict()

    def of(self, pod: Object) -> Template:
        key = template_key(pod)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Template(pod, key)
            if len(self._known) > MAX_TEMPLATES:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found


def template_key(pod: Object) -> bytes:
    """Equal for pods that any node treats alike. Volumes aren't in it: the token's has a name of its own in each pod."""
    spec, metadata = pod["spec"], pod["metadata"]
    get = spec.get
    return orjson.dumps(
        [
            metadata.get("namespace"),
            metadata.get("labels"),
            [_container_key(one) for one in get("containers") or ()],
            [_container_key(one) for one in get("initContainers") or ()],
            *(get(name) for name in _WHOLE_FIELDS),
        ]
    )


_WHOLE_FIELDS = (
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "overhead",
    "resources",
    "priority",
    "preemptionPolicy",
    "hostNetwork",
)


def _container_key(container: Object) -> tuple[object, ...]:
    get = container.get
    return get("image"), get("resources"), get("ports"), get("restartPolicy")


@dataclass(slots=True, eq=False)
class PodInfo:
    """A pod and what is worked out of it."""

    pod: Object
    key: str
    uid: str
    template: Template
    #: the labels of its namespace; shared, and kept current by the cache.
    namespace_labels: dict[str, str]
    #: (volume's name, claim's name, is it the pod's own) of each volume that is a claim.
    claims: list[tuple[str, str, bool]]
    terminating: bool

    @property
    def labels(self) -> dict[str, str]:
        return self.template.labels

    @property
    def namespace(self) -> str:
        return self.template.namespace

    @property
    def priority(self) -> int:
        return self.template.priority

    @property
    def requests(self) -> Amounts:
        return self.template.requests

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    def __repr__(self) -> str:
        return f"<PodInfo {self.key}>"


def pod_info(
    pod: Object, namespace_labels: dict[str, str] | None = None, templates: Templates | None = None
) -> PodInfo:
    template = Template(pod) if templates is None else templates.of(pod)
    return PodInfo(
        pod,
        key_of(pod),
        pod["metadata"].get("uid", ""),
        template,
        {} if namespace_labels is None else namespace_labels,
        volumes.claims_of(pod),
        pods.is_terminating(pod),
    )
