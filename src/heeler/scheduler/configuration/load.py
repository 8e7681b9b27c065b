"""A configuration file: read, completed with the defaults, and checked.

https://kubernetes.io/docs/reference/scheduling/config/
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from heeler.objects.value import Object
from heeler.scheduler.configuration import rules
from heeler.scheduler.configuration.fields import ARGUMENTS, GROUP_VERSION, ConfigurationError, check, check_arguments
from heeler.scheduler.profile import DEFAULT_SCHEDULER

#: What the API server's scheme is called in an error.
_SCHEME = "pkg/runtime/scheme.go:111"
CPU_AND_MEMORY = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
DEFAULTS: Mapping[str, Any] = {
    "parallelism": 16,
    "percentageOfNodesToScore": 0,
    "podInitialBackoffSeconds": 1,
    "podMaxBackoffSeconds": 10,
}
#: Arguments of plugins that have some.
DEFAULT_ARGUMENTS: Mapping[str, Object] = {
    "DefaultPreemption": {"minCandidateNodesAbsolute": 100, "minCandidateNodesPercentage": 10},
    "DynamicResources": {"bindingTimeout": "10m0s", "filterTimeout": "10s"},
    "InterPodAffinity": {"hardPodAffinityWeight": 1, "ignorePreferredTermsOfExistingPods": False},
    "NodeAffinity": {},
    "NodeResourcesBalancedAllocation": {"resources": CPU_AND_MEMORY},
    "NodeResourcesFit": {"scoringStrategy": {"type": "LeastAllocated", "resources": CPU_AND_MEMORY}},
    "PodTopologySpread": {"defaultingType": "System"},
    "VolumeBinding": {
        "bindTimeoutSeconds": 600,
        "shape": [{"utilization": 0, "score": 10}, {"utilization": 100, "score": 0}],
    },
}


def default() -> Object:
    """What holds without a file."""
    return completed({"apiVersion": GROUP_VERSION, "kind": "KubeSchedulerConfiguration"})


def load(text: str) -> Object:
    """A checked configuration from YAML or JSON. Raises ConfigurationError."""
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"error converting YAML to JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError("couldn't get version/kind; json parse error: the configuration is no object")
    version, kind = value.get("apiVersion") or "", value.get("kind") or ""
    for name, given in (("apiVersion", version), ("Kind", kind)):
        if not given:
            raise ConfigurationError(f"Object '{name}' is missing in the configuration")
    if (version, kind) != (GROUP_VERSION, "KubeSchedulerConfiguration"):
        raise ConfigurationError(f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"')
    check(value, kind)
    for at, profile in enumerate(value.get("profiles") or ()):
        for number, config in enumerate(profile.get("pluginConfig") or ()):
            _check_arguments(config, f".profiles[{at}].pluginConfig[{number}]")
    done = completed(value)
    faults = list(rules.configuration(done))
    if faults:
        raise ConfigurationError(rules.told(faults))
    return done


def _check_arguments(config: Object, where: str) -> None:
    name, args = config.get("name", ""), config.get("args")
    if name not in ARGUMENTS or not args:
        return
    kind = args.get("kind") or f"{name}Args"
    if args.get("apiVersion", GROUP_VERSION) != GROUP_VERSION or kind[:-4] not in ARGUMENTS:
        version = args.get("apiVersion", "")
        text = f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'
        raise ConfigurationError(f"decoding {where}: decoding args for plugin {name}: {text}")
    if kind != f"{name}Args":
        group = GROUP_VERSION.partition("/")[0]
        text = f"args for plugin {name} were not of type {name}Args.{group}, got {kind}.{group}"
        raise ConfigurationError(f"decoding {where}: {text}")
    try:
        check_arguments(args, name)
    except ConfigurationError as error:
        strict = "strict decoding error: "
        first = strict if str(error).startswith(strict) else ""
        told = f"{first}decoding args for plugin {name}: {error}"
        raise ConfigurationError(f"{first}decoding {where}: {told}") from error


def completed(given: Object) -> Object:
    """With what is left out filled in."""
    value = copy.deepcopy(given)
    for name, default_value in DEFAULTS.items():
        if value.get(name) is None:
            value[name] = default_value
    profiles = value["profiles"] = value.get("profiles") or [{}]
    if len(profiles) == 1 and profiles[0].get("schedulerName") is None:
        profiles[0]["schedulerName"] = DEFAULT_SCHEDULER
    for profile in profiles:
        for config in profile.get("pluginConfig") or ():
            config["args"] = arguments(config.get("name", ""), config.get("args"))
    for extender in value.get("extenders") or ():
        extender.setdefault("httpTimeout", "5s")
    return value


def arguments(plugin: str, given: Object | None) -> Object:
    """A plugin's arguments, with the defaults of what isn't given."""
    out = {**copy.deepcopy(dict(DEFAULT_ARGUMENTS.get(plugin, {}))), **(given or {})}
    strategy = (given or {}).get("scoringStrategy")
    if plugin == "NodeResourcesFit" and strategy is not None:
        out["scoringStrategy"] = strategy = {"type": "LeastAllocated", **strategy}
        strategy["resources"] = strategy.get("resources") or copy.deepcopy(CPU_AND_MEMORY)
    for holder in (out, out.get("scoringStrategy") or {}):
        if plugin.startswith("NodeResources"):
            for one in holder.get("resources") or ():
                one["weight"] = one.get("weight") or 1
    return out
