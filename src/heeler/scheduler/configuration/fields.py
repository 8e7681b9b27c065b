"""The fields of KubeSchedulerConfiguration v1 and of plugins' arguments, by which alone a file is read: strictly, as Go does.

What comes out has only known fields, each of its type; nulls are left out, or are empty structs in lists.

https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from heeler.kinds.types import scalar, type_named
from heeler.objects import go_duration
from heeler.objects.decode import DecodeError, decode
from heeler.objects.schema import Field, Form, Type
from heeler.objects.value import Object

GROUP_VERSION = "kubescheduler.config.k8s.io/v1"

# A type is a plain one by its name, a struct (its name here), one of the API's (by its full name), a list ("[]x"), or "any".
TEXT, INT, INT64, BOOL, FLOAT, DURATION, ANY = "string", "int32", "int64", "bool", "float32", "Duration", "any"
#: Base64, and a duration that may be null.
BYTES, MAYBE_DURATION = "bytes", "*Duration"

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
        "certData": BYTES,
        "keyData": BYTES,
        "caData": BYTES,
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

#: Of leaderElection.
DURATIONS = ("leaseDuration", "renewDeadline", "retryPeriod")
#: Of plugins: the arguments beside kind and apiVersion.
ARGUMENTS: dict[str, dict[str, str]] = {
    "DefaultPreemption": {"minCandidateNodesPercentage": INT, "minCandidateNodesAbsolute": INT},
    "DynamicResources": {"filterTimeout": MAYBE_DURATION, "bindingTimeout": MAYBE_DURATION},
    "InterPodAffinity": {"hardPodAffinityWeight": INT, "ignorePreferredTermsOfExistingPods": BOOL},
    "NodeAffinity": {"addedAffinity": "io.k8s.api.core.v1.NodeAffinity"},
    "NodeResourcesBalancedAllocation": {"resources": "[]ResourceSpec"},
    "NodeResourcesFit": {
        "ignoredResources": "[]string",
        "ignoredResourceGroups": "[]string",
        "scoringStrategy": "ScoringStrategy",
    },
    "PodTopologySpread": {
        "defaultConstraints": "[]io.k8s.api.core.v1.TopologySpreadConstraint",
        "defaultingType": TEXT,
    },
    "VolumeBinding": {"bindTimeoutSeconds": INT64, "shape": "[]UtilizationShapePoint"},
}
PACKAGE = "v1"


class ConfigurationError(ValueError):
    """What is wrong with a configuration, in upstream's words."""


def seconds(duration: str) -> float:
    """A duration as Go writes it, in seconds. Raises ConfigurationError."""
    try:
        return go_duration.parse(duration) / 1e9
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def read(value: Any, struct: str) -> tuple[Object, list[str]]:
    """A struct, and a line for each field that it doesn't know. Raises ConfigurationError for values of another type."""
    return _read(value, _struct(struct))


def read_arguments(value: Any, plugin: str) -> tuple[Object, list[str]]:
    """The same for a plugin's arguments."""
    return _read(value, _arguments(plugin))


def _read(value: Any, type: Type) -> tuple[Object, list[str]]:
    try:
        found, unknown = decode(value, type, strict=True)
    except DecodeError as error:
        raise ConfigurationError(str(error)) from error
    for duration in _durations(value, type):
        seconds(duration)
    return found, unknown


def _durations(value: Any, type: Type) -> Iterator[str]:
    """All that is given; null where there must be one is an empty text."""
    if type.form == "list" and type.item is not None:
        for one in value or ():
            yield from _durations(one, type.item)
    elif type.form == "struct" and value is not None:
        for name, field in type.fields.items():
            if field.type.form != "duration":
                yield from _durations(value.get(name), field.type)
            elif name in value and not (field.pointer and value[name] is None):
                yield value[name] or ""


@cache
def _struct(name: str) -> Type:
    return _type_of(name, STRUCTS[name])


@cache
def _arguments(plugin: str) -> Type:
    return _type_of(f"{plugin}Args", {**ARGUMENTS[plugin], "kind": TEXT, "apiVersion": TEXT})


def _type_of(name: str, fields: Mapping[str, str]) -> Type:
    # as pointers: what is empty stays apart from what isn't given
    found = {key: Field(key, _type(type), pointer=type != DURATION) for key, type in fields.items()}
    return Type("struct", name, found, package=PACKAGE)


def _type(name: str) -> Type:
    if name.startswith("[]"):
        return Type("list", item=_type(name[2:]))
    if name in STRUCTS:
        return _struct(name)
    if name in (DURATION, MAYBE_DURATION):
        return scalar("duration")
    if name == FLOAT:
        return Type("float", FLOAT)
    return type_named(name) if "." in name else scalar(cast(Form, name))
