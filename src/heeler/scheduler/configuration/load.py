"""A configuration file: read, completed with the defaults, and checked.

https://kubernetes.io/docs/reference/scheduling/config/
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from heeler.objects import yaml_text
from heeler.objects.go_text import json_kind
from heeler.objects.value import Object
from heeler.scheduler.configuration import rules
from heeler.scheduler.configuration.fields import (
    ARGUMENTS,
    DURATIONS,
    GROUP_VERSION,
    ConfigurationError,
    read,
    read_arguments,
    seconds,
)
from heeler.scheduler.profile import DEFAULT_SCHEDULER

#: What the API server's scheme is called in an error.
_SCHEME = "pkg/runtime/scheme.go:111"
#: What is asked at first of any object, as an error names its type.
_HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_STRICT = "strict decoding error: "
CPU_AND_MEMORY = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]
ELECTION: Mapping[str, Any] = {
    "leaderElect": True,
    "leaseDuration": "15s",
    "renewDeadline": "10s",
    "retryPeriod": "2s",
    "resourceLock": "leases",
    "resourceName": "kube-scheduler",
    "resourceNamespace": "kube-system",
}
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


def load(text: str, election: Mapping[str, Any] | None = None) -> Object:
    """A checked configuration from YAML or JSON. Raises ConfigurationError.

    `election`: parts of leaderElection that were given otherwise, and go before the file's."""
    return check(completed(_read(text)), election)


def check(value: Object, election: Mapping[str, Any] | None = None) -> Object:
    """The completed configuration with those parts. Raises ConfigurationError."""
    value["leaderElection"] |= election or {}
    faults = list(rules.configuration(value))
    if faults:
        raise ConfigurationError(rules.told(faults))
    return value


def _read(text: str) -> Object:
    """What the text says."""
    try:
        value, duplicates = yaml_text.load(text)
    except yaml_text.YamlError as error:
        raise ConfigurationError(str(error)) from error
    version, kind = _version_and_kind(value)
    for name, given in (("Kind", kind), ("apiVersion", version)):
        if not given:
            raise ConfigurationError(f"Object '{name}' is missing in the configuration")
    if (version, kind) != (GROUP_VERSION, "KubeSchedulerConfiguration"):
        raise ConfigurationError(f'no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"')
    found, strict = read(value, kind)
    if duplicates:
        strict.insert(0, "yaml: unmarshal errors:\n" + "\n".join(f"  {line}" for line in duplicates))
    if strict:
        raise ConfigurationError(_STRICT + ", ".join(strict))
    for at, profile in enumerate(found.get("profiles") or ()):
        for number, config in enumerate(profile.get("pluginConfig") or ()):
            try:
                config["args"], strict = _arguments_of(config)
            except ConfigurationError as error:
                raise ConfigurationError(f"decoding .profiles[{at}].pluginConfig[{number}]: {error}") from error
            if strict:
                told = f"{_STRICT}decoding args for plugin {config.get('name', '')}: {_STRICT}{', '.join(strict)}"
                raise ConfigurationError(f"{_STRICT}decoding .profiles[{at}].pluginConfig[{number}]: {told}")
    return found


def _version_and_kind(value: Any) -> tuple[str, str]:
    """What an object says that it is. Raises ConfigurationError."""
    if value is None:
        return "", ""
    problem = "couldn't get version/kind; json parse error: json: cannot unmarshal"
    if not isinstance(value, dict):
        raise ConfigurationError(f"{problem} {json_kind(value)} into Go value of type {_HEAD}")
    out = []
    for name in ("apiVersion", "kind"):
        given = value.get(name)
        if given is not None and not isinstance(given, str):
            raise ConfigurationError(f"{problem} {json_kind(given)} into Go struct field .{name} of type string")
        out.append(given or "")
    return out[0], out[1]


def _arguments_of(config: Object) -> tuple[Object | None, list[str]]:
    """A plugin's arguments, and what they say too much. What isn't known here is left to the plugin."""
    name, args = config.get("name", ""), config.get("args")
    if name not in ARGUMENTS or args is None:
        return args, []
    before = f"decoding args for plugin {name}: "
    try:
        version, kind = _version_and_kind(args)
    except ConfigurationError as error:
        raise ConfigurationError(f"{before}{error}") from error
    kind = kind or f"{name}Args"
    if (version or GROUP_VERSION) != GROUP_VERSION or kind[:-4] not in ARGUMENTS:
        raise ConfigurationError(
            f'{before}no kind "{kind}" is registered for version "{version}" in scheme "{_SCHEME}"'
        )
    if kind != f"{name}Args":
        group = GROUP_VERSION.partition("/")[0]
        raise ConfigurationError(f"args for plugin {name} were not of type {name}Args.{group}, got {kind}.{group}")
    try:
        return read_arguments(args, name)
    except ConfigurationError as error:
        raise ConfigurationError(f"{before}{error}") from error


def completed(given: Object) -> Object:
    """With what is left out filled in."""
    value = copy.deepcopy(given)
    for name, default_value in DEFAULTS.items():
        if value.get(name) is None:
            value[name] = default_value
    value["leaderElection"] = _election(value.get("leaderElection") or {})
    profiles = value["profiles"] = value.get("profiles") or [{}]
    if len(profiles) == 1 and profiles[0].get("schedulerName") is None:
        profiles[0]["schedulerName"] = DEFAULT_SCHEDULER
    for profile in profiles:
        for config in profile.get("pluginConfig") or ():
            config["args"] = arguments(config.get("name", ""), config.get("args"))
    for extender in value.get("extenders") or ():
        extender.setdefault("httpTimeout", "5s")
    return value


def _election(given: Object) -> Object:
    """Nothing, and a duration of zero, is what isn't given."""
    said = {
        name: value
        for name, value in given.items()
        if isinstance(value, bool) or (value and (name not in DURATIONS or seconds(value)))
    }
    return {**ELECTION, **said}


def arguments(plugin: str, given: Any) -> Any:
    """A plugin's arguments, with the defaults of what isn't given; those that are no object aren't upstream's plugins'."""
    if given is not None and not isinstance(given, dict):
        return given
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
