"""What is wrong with a configuration, in the order in which kube-scheduler tells it (1.37, by experiment)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from heeler.kinds.meta.selector_rules import node_selector, node_term
from heeler.objects import go_duration, names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required
from heeler.objects.value import Object
from heeler.scheduler.configuration.fields import DURATIONS, ConfigurationError, seconds
from heeler.scheduler.plugins.node_resources import LEAST, MOST, RATIO

PERCENT = "not in valid range [0-100]"
BETWEEN = "not in valid range [0, 100]"
WHEN = ("DoNotSchedule", "ScheduleAnyway")


def told(faults: list[Fault]) -> str:
    """Faults as one line; several in brackets."""
    lines = list(dict.fromkeys(f"{fault.field}: {fault.message}" for fault in faults))
    return lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"


def configuration(value: Object) -> Iterator[Fault]:
    """A whole configuration, its defaults filled in."""
    burst = (value.get("clientConnection") or {}).get("burst") or 0
    if burst < 0:
        yield invalid("clientConnection.burst", burst, "must be non-negative")
    yield from _leader_election(value["leaderElection"], "leaderElection")
    if value["parallelism"] <= 0:
        yield invalid("parallelism", value["parallelism"], "should be an integer value greater than zero")
    yield from _profiles(value["profiles"])
    yield from _percentage(value.get("percentageOfNodesToScore"), "percentageOfNodesToScore")
    first, most = value["podInitialBackoffSeconds"], value["podMaxBackoffSeconds"]
    if first <= 0:
        yield invalid("podInitialBackoffSeconds", first, "must be greater than 0")
    if most < first:
        yield invalid("podMaxBackoffSeconds", most, "must be greater than or equal to PodInitialBackoffSeconds")
    yield from _extenders(value.get("extenders") or [])


def _leader_election(value: Object, path: str) -> Iterator[Fault]:
    if not value["leaderElect"]:
        return
    for field in DURATIONS:
        if seconds(value[field]) <= 0:
            yield invalid(f"{path}.{field}", _shown(value[field]), "must be greater than zero")
    if seconds(value["leaseDuration"]) <= seconds(value["renewDeadline"]):
        shown = _shown(value["renewDeadline"])
        yield invalid(f"{path}.leaseDuration", shown, "must be greater than `RenewDeadline`")
    for field in ("resourceNamespace", "resourceName"):
        if not value[field]:
            yield required(f"{path}.{field}")
    if value["resourceLock"] != "leases":
        yield invalid(f"{path}.resourceLock", value["resourceLock"], 'resourceLock value must be "leases"')


def _shown(duration: str) -> str:
    return go_duration.text(go_duration.parse(duration))


def _percentage(value: Any, path: str) -> Iterator[Fault]:
    if value is not None and not 0 <= value <= 100:
        yield invalid(path, value, PERCENT)


def _profiles(profiles: list[Object]) -> Iterator[Fault]:
    seen: dict[str, None] = {}
    for at, profile in enumerate(profiles):
        path, name = f"profiles[{at}]", profile.get("schedulerName") or ""
        if not name:
            yield required(f"{path}.schedulerName")
        yield from _percentage(profile.get("percentageOfNodesToScore"), f"{path}.percentageOfNodesToScore")
        yield from _plugin_config(profile.get("pluginConfig") or [], path)
        if name in seen:
            yield Fault("FieldValueDuplicate", "Duplicate value: {}", f"{path}.schedulerName")
        seen[name] = None
    first = _sorting(profiles[0])
    for at, profile in enumerate(profiles[1:], 1):
        if _sorting(profile) != first:
            yield invalid(f"profiles[{at}].plugins.queueSort", _sorting(profile), "must be the same for all profiles")


def _sorting(profile: Object) -> Object:
    """How the profile sorts its queue, as a fault shows it."""
    found = (profile.get("plugins") or {}).get("queueSort") or {}

    def shown(plugins: list[Object] | None) -> Any:
        return [{"Name": one.get("name", ""), "Weight": one.get("weight", 0)} for one in plugins] if plugins else None

    return {"Enabled": shown(found.get("enabled")), "Disabled": shown(found.get("disabled"))}


def _plugin_config(configs: list[Object], path: str) -> Iterator[Fault]:
    seen: dict[str, None] = {}
    for at, config in enumerate(configs):
        here, name = f"{path}.pluginConfig[{at}]", config.get("name", "")
        if name in seen:
            yield duplicate(here, name)
        elif name in EARLY and config.get("args"):
            yield from EARLY[name](config["args"], f"{here}.args.")
        seen[name] = None


def _preemption(args: Object, path: str) -> Iterator[Fault]:
    share, number = args["minCandidateNodesPercentage"], args["minCandidateNodesAbsolute"]
    by_share, by_number = "minCandidateNodesPercentage", "minCandidateNodesAbsolute"
    if not 0 <= share <= 100:
        yield invalid(f"{path}{by_share}", share, BETWEEN)
    if number < 0:
        yield invalid(f"{path}{by_number}", number, "not in valid range [0, inf)")
    if share == 0 and number == 0:
        yield invalid(f"{path}{by_share}", share, f"cannot be zero at the same time as {by_number}")
        yield invalid(f"{path}{by_number}", number, f"cannot be zero at the same time as {by_share}")


def _devices(args: Object, path: str) -> Iterator[Fault]:
    for field in ("filterTimeout", "bindingTimeout"):
        if field in args and seconds(args[field]) < 0:
            yield invalid(f"{path}{field}", _shown(args[field]), "must be zero or positive")


def _pod_affinity(args: Object, path: str) -> Iterator[Fault]:
    weight = args["hardPodAffinityWeight"]
    if not 0 <= weight <= 100:
        yield invalid(f"{path}hardPodAffinityWeight", weight, BETWEEN)


def _node_affinity(args: Object, path: str) -> Iterator[Fault]:
    added, here = args.get("addedAffinity") or {}, f"{path}addedAffinity"
    wanted, preferred = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))
    if (added.get(wanted) or {}).get("nodeSelectorTerms"):
        yield from node_selector(added[wanted], f"{here}.{wanted}")
    for at, one in enumerate(added.get(preferred) or ()):
        yield from node_term(one.get("preference") or {}, f"{here}.{preferred}[{at}].preference")


def _balanced(args: Object, path: str) -> Iterator[Fault]:
    seen: dict[str, None] = {}
    for at, one in enumerate(args["resources"]):
        here = f"{path}resources[{at}]"
        if one["weight"] != 1:
            yield invalid(f"{here}.weight", one["weight"], "must be 1")
        if one.get("name", "") in seen:
            yield duplicate(f"{here}.name", one.get("name", ""))
        seen[one.get("name", "")] = None


def _spread(args: Object, path: str) -> Iterator[Fault]:
    constraints, by = args.get("defaultConstraints") or [], args["defaultingType"]
    if by not in ("System", "List"):
        yield not_supported(f"{path}defaultingType", by, ("System", "List"))
    elif by == "System" and constraints:
        yield invalid(f"{path}defaultingType", by, "when .defaultConstraints are not empty")
    seen: dict[tuple[str, str], None] = {}
    for at, one in enumerate(constraints):
        here, key, when = (
            f"{path}defaultConstraints[{at}]",
            one.get("topologyKey", ""),
            one.get("whenUnsatisfiable", ""),
        )
        if one.get("maxSkew", 0) <= 0:
            yield invalid(f"{here}.maxSkew", one.get("maxSkew", 0), "not in valid range (0, inf)")
        if not key:
            yield required(f"{here}.topologyKey", "can not be empty")
        else:
            for text in names.qualified(key):
                yield invalid(f"{here}.topologyKey", key, text)
        if not when:
            yield required(f"{here}.whenUnsatisfiable", "can not be empty")
        elif when not in WHEN:
            yield not_supported(f"{here}.whenUnsatisfiable", when, WHEN)
        if "labelSelector" in one:
            yield forbidden(
                f"{here}.labelSelector", "constraint must not define a selector, as they deduced for each pod"
            )
        if (key, when) in seen:
            yield duplicate(here, f"{{{key}, {when}}}")
        seen[key, when] = None


def _volumes(args: Object, path: str) -> Iterator[Fault]:
    time = args["bindTimeoutSeconds"]
    if time < 0:
        yield invalid(f"{path}bindTimeoutSeconds", time, "invalid BindTimeoutSeconds, should not be a negative value")
    yield from shape(args.get("shape") or [], f"{path}shape")


def shape(points: list[Object], path: str) -> Iterator[Fault]:
    """The points of a function from utilization to score."""
    if not points:
        yield required(path, "at least one point must be specified")
    for at in range(1, len(points)):
        this, before = points[at].get("utilization", 0), points[at - 1].get("utilization", 0)
        if this <= before:
            yield invalid(f"{path}[{at}].utilization", this, "values must be sorted in increasing order")
            break
    for at, point in enumerate(points):
        if not 0 <= point.get("utilization", 0) <= 100:
            yield invalid(f"{path}[{at}].utilization", point["utilization"], BETWEEN)
        if not 0 <= point.get("score", 0) <= 10:
            yield invalid(f"{path}[{at}].score", point["score"], "not in valid range [0, 10]")


def fit(args: Object, path: str) -> Iterator[Fault]:
    """NodeResourcesFit's, which is only looked at when the plugin is made."""
    for at, name in enumerate(args.get("ignoredResources") or ()):
        for text in names.qualified(name):
            yield invalid(f"{path}ignoredResources[{at}]", name, text)
    for at, group in enumerate(args.get("ignoredResourceGroups") or ()):
        here = f"{path}ignoredResourceGroups[{at}]"
        if "/" in group:
            yield invalid(here, group, "resource group name can't contain '/'")
        else:
            for text in names.qualified(group):
                yield invalid(here, group, text)
    strategy = args.get("scoringStrategy")
    if strategy is None:
        yield required(f"{path}scoringStrategy", "ScoringStrategy is required")
        return
    here = f"{path}scoringStrategy"
    if strategy.get("type") not in (LEAST, MOST, RATIO):
        yield not_supported(f"{here}.type", strategy.get("type", ""), (LEAST, MOST, RATIO))
        return
    for at, one in enumerate(strategy.get("resources") or ()):
        if not 0 < one["weight"] <= 100:
            text = f"resource weight of {one.get('name', '')} not in valid range (0, 100]"
            yield invalid(f"{here}.resources[{at}].weight", one["weight"], text)
    if strategy["type"] == RATIO:
        ratio = strategy.get("requestedToCapacityRatio")
        if ratio is None:
            text = "must be specified when type is RequestedToCapacityRatio"
            yield required(f"{here}.requestedToCapacityRatio", text)
        else:
            yield from shape(ratio.get("shape") or [], f"{here}.requestedToCapacityRatio.shape")


def _extenders(extenders: list[Object]) -> Iterator[Fault]:
    binders = 0
    seen: dict[str, None] = {}
    for at, one in enumerate(extenders):
        path = f"extenders[{at}]"
        if one.get("prioritizeVerb") and one.get("weight", 0) <= 0:
            yield invalid(f"{path}.weight", one.get("weight", 0), "must have a positive weight applied to it")
        binders += bool(one.get("bindVerb"))
        for number, managed in enumerate(one.get("managedResources") or ()):
            here, name = f"{path}.managedResources[{number}].name", managed.get("name", "")
            if not _is_extended(name):
                yield invalid(here, name, "is an invalid extended resource name")
            if name in seen:
                yield invalid(here, name, "duplicate extender managed resource name")
            seen[name] = None
    if binders > 1:
        text = f"found {binders} extenders implementing bind"
        yield invalid("extenders", text, "only one extender can implement bind")


def _is_extended(name: str) -> bool:
    domain, slash, _ = name.partition("/")
    return bool(slash) and not domain.endswith("kubernetes.io") and not names.qualified(f"requests.{name}")


#: Arguments that are looked at with the configuration.
EARLY: Mapping[str, Any] = {
    "DefaultPreemption": _preemption,
    "DynamicResources": _devices,
    "InterPodAffinity": _pod_affinity,
    "NodeAffinity": _node_affinity,
    "NodeResourcesBalancedAllocation": _balanced,
    "PodTopologySpread": _spread,
    "VolumeBinding": _volumes,
}

__all__ = ["ConfigurationError", "configuration", "fit", "shape", "told"]
