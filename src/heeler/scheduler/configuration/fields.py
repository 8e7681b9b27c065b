"""The fields of KubeSchedulerConfiguration v1 and of plugins' arguments, and how a file is read: strictly.

https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from heeler.objects.value import Object

GROUP_VERSION = "kubescheduler.config.k8s.io/v1"

# A type is a plain one by its name, a struct (its name here), a list or map of one ("[]x", "{}x"), or "any".
TEXT, INT, INT64, BOOL, FLOAT, DURATION, ANY = "string", "int32", "int64", "bool", "float32", "Duration", "any"

STRUCTS: dict[str, dict[str, str]] = {
    "KubeSchedulerConfiguration": {
        "apiVersion": TEXT,
        "kind": TEXT,
        "parallelism": INT,
        "leaderElection": "LeaderElectionConfiguration",
        "clientConnection": "ClientConnectionConfiguration",
        "enableProfiling": BOOL,
        "enableContentionProfiling": BOOL,
        "percentageOfNodesToScore": INT,
        "podInitialBackoffSeconds": INT64,
        "podMaxBackoffSeconds": INT64,
        "profiles": "[]KubeSchedulerProfile",
        "extenders": "[]Extender",
        "delayCacheUntilActive": BOOL,
    },
    "LeaderElectionConfiguration": {
        "leaderElect": BOOL,
        "leaseDuration": DURATION,
        "renewDeadline": DURATION,
        "retryPeriod": DURATION,
        "resourceLock": TEXT,
        "resourceName": TEXT,
        "resourceNamespace": TEXT,
    },
    "ClientConnectionConfiguration": {
        "kubeconfig": TEXT,
        "acceptContentTypes": TEXT,
        "contentType": TEXT,
        "qps": FLOAT,
        "burst": INT,
    },
    "KubeSchedulerProfile": {
        "schedulerName": TEXT,
        "percentageOfNodesToScore": INT,
        "plugins": "Plugins",
        "pluginConfig": "[]PluginConfig",
    },
    "Plugins": dict.fromkeys(
        (
            *("preEnqueue", "queueSort", "preFilter", "filter", "postFilter", "preScore", "score", "reserve"),
            *("permit", "preBind", "bind", "postBind", "multiPoint"),
            *("placementGenerate", "placementScore", "podGroupPostFilter"),
        ),
        "PluginSet",
    ),
    "PluginSet": {"enabled": "[]Plugin", "disabled": "[]Plugin"},
    "Plugin": {"name": TEXT, "weight": INT},
    "PluginConfig": {"name": TEXT, "args": ANY},
    "Extender": {
        "urlPrefix": TEXT,
        "filterVerb": TEXT,
        "preemptVerb": TEXT,
        "prioritizeVerb": TEXT,
        "weight": INT64,
        "bindVerb": TEXT,
        "enableHTTPS": BOOL,
        "tlsConfig": "ExtenderTLSConfig",
        "httpTimeout": DURATION,
        "nodeCacheCapable": BOOL,
        "managedResources": "[]ExtenderManagedResource",
        "ignorable": BOOL,
    },
    "ExtenderTLSConfig": {
        "insecure": BOOL,
        "serverName": TEXT,
        "certFile": TEXT,
        "keyFile": TEXT,
        "caFile": TEXT,
        "certData": TEXT,
        "keyData": TEXT,
        "caData": TEXT,
    },
    "ExtenderManagedResource": {"name": TEXT, "ignoredByScheduler": BOOL},
    "ResourceSpec": {"name": TEXT, "weight": INT64},
    "UtilizationShapePoint": {"utilization": INT, "score": INT},
    "ScoringStrategy": {
        "type": TEXT,
        "resources": "[]ResourceSpec",
        "requestedToCapacityRatio": "RequestedToCapacityRatioParam",
    },
    "RequestedToCapacityRatioParam": {"shape": "[]UtilizationShapePoint"},
}

#: Of plugins: the arguments beside kind and apiVersion.
ARGUMENTS: dict[str, dict[str, str]] = {
    "DefaultPreemption": {"minCandidateNodesPercentage": INT, "minCandidateNodesAbsolute": INT},
    "DynamicResources": {"filterTimeout": DURATION, "bindingTimeout": DURATION},
    "InterPodAffinity": {"hardPodAffinityWeight": INT, "ignorePreferredTermsOfExistingPods": BOOL},
    "NodeAffinity": {"addedAffinity": ANY},
    "NodeResourcesBalancedAllocation": {"resources": "[]ResourceSpec"},
    "NodeResourcesFit": {
        "ignoredResources": "[]string",
        "ignoredResourceGroups": "[]string",
        "scoringStrategy": "ScoringStrategy",
    },
    "PodTopologySpread": {"defaultConstraints": "[]any", "defaultingType": TEXT},
    "VolumeBinding": {"bindTimeoutSeconds": INT64, "shape": "[]UtilizationShapePoint"},
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+|[-+]?0")
_KINDS = {TEXT: str, INT: int, INT64: int, BOOL: bool, FLOAT: (int, float), DURATION: str}
_SHOWN = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}


class ConfigurationError(ValueError):
    """What is wrong with a configuration, in upstream's words."""


def seconds(duration: str) -> float:
    """A duration as Go writes it, in seconds. Raises ConfigurationError."""
    if not _DURATION.fullmatch(duration):
        raise ConfigurationError(f'time: invalid duration "{duration}"')
    sign = -1.0 if duration.startswith("-") else 1.0
    parts = re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", duration)
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)


def check(value: Object, struct: str) -> None:
    """Does a value have the fields of a struct, and no others? Raises ConfigurationError."""
    unknown = list(_problems(value, STRUCTS[struct], struct, ""))
    if unknown:
        raise ConfigurationError("strict decoding error: " + ", ".join(f'unknown field "{one}"' for one in unknown))


def check_arguments(value: Object, plugin: str) -> None:
    """The same for a plugin's arguments."""
    fields = {**ARGUMENTS[plugin], "kind": TEXT, "apiVersion": TEXT}
    unknown = list(_problems(value, fields, f"{plugin}Args", ""))
    if unknown:
        raise ConfigurationError("strict decoding error: " + ", ".join(f'unknown field "{one}"' for one in unknown))


def _problems(value: Object, fields: Mapping[str, str], struct: str, path: str) -> Iterator[str]:
    """Unknown fields. Raises ConfigurationError for values of another type."""
    for name, given in value.items():
        here = f"{path}{name}"
        if name not in fields:
            yield here
        elif given is not None:
            yield from _of_type(given, fields[name], f"{struct}.{name}", here)


def _of_type(value: Any, type: str, name: str, path: str) -> Iterator[str]:
    if type == ANY:
        return
    if type.startswith("[]"):
        _expect(value, list, name, f"[]v1.{type[2:]}")
        for at, one in enumerate(value):
            yield from _of_type(one, type[2:], name, f"{path}[{at}]")
    elif type in STRUCTS:
        _expect(value, dict, name, f"v1.{type}")
        yield from _problems(value, STRUCTS[type], type, f"{path}.")
    else:
        kind = _KINDS[type]
        if isinstance(value, bool) and type != BOOL:
            _expect(value, tuple, name, type)
        _expect(value, kind, name, type)
        if type == DURATION:
            seconds(value)


def _expect(value: Any, kind: Any, name: str, shown: str) -> None:
    if not isinstance(value, kind):
        given = _SHOWN.get(value.__class__, "object")
        raise ConfigurationError(f"json: cannot unmarshal {given} into Go struct field {name} of type {shown}")
