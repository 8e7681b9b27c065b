"""A container's environment: given values, values from elsewhere, services; and `$(NAME)` expanded. Pure.

Source: https://kubernetes.io/docs/concepts/configuration/configmap/ and
https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from heeler.kubelet.pods.amounts import count, milli_cpu
from heeler.kubelet.pods.views import container_of, spec_of
from heeler.objects.value import Object, labels_of, name_of, namespace_of, uid_of


class ConfigError(Exception):
    """The container can't be made as it is described (status reason CreateContainerConfigError)."""


class Lookup(Protocol):
    """ConfigMaps and Secrets of the pod's namespace that were fetched before; None where there is none."""

    def config_map(self, name: str) -> Object | None: ...

    def secret(self, name: str) -> Object | None: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What the downward API may tell."""

    node: str
    host_ips: tuple[str, ...]
    pod_ips: tuple[str, ...]
    node_milli_cpu: int
    node_memory: int


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` replaced where NAME is known, `$$` made `$`; anything else stays as it is."""
    out, position = [], 0
    while position < len(text):
        char = text[position]
        if char != "$" or position + 1 == len(text):
            out.append(char)
            position += 1
            continue
        following = text[position + 1]
        if following == "$":
            out.append("$")
            position += 2
        elif following == "(" and (end := text.find(")", position)) > 0:
            name = text[position + 2 : end]
            out.append(values[name] if name in values else text[position : end + 1])
            position = end + 1
        else:
            out.append(char + following)
            position += 2
    return "".join(out)


_ENV_NAME = re.compile(r"[^\x00=]+\Z")


def environment(
    pod: Object, container: Object, lookup: Lookup, services: Sequence[Object], facts: Facts
) -> list[tuple[str, str]]:
    """The variables in order: those of `env`, then `envFrom`'s and the services'. Raises ConfigError."""
    outer = _from_sources(container, lookup)
    values = _ordered(pod, container, lookup, facts, outer)
    links = service_variables(pod, services)
    for name, value in [*outer.items(), *links.items()]:
        values.setdefault(name, value)
    return list(values.items())


def _from_sources(container: Object, lookup: Lookup) -> dict[str, str]:
    out: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        prefix = source.get("prefix", "")
        if "configMapRef" in source:
            ref = source["configMapRef"]
            found = lookup.config_map(ref.get("name", ""))
            data = dict((found or {}).get("data") or {})
            kind = "configmap"
        elif "secretRef" in source:
            ref = source["secretRef"]
            found = lookup.secret(ref.get("name", ""))
            data = {k: _decoded(v) for k, v in ((found or {}).get("data") or {}).items()}
            kind = "secret"
        else:
            continue
        if found is None and not ref.get("optional"):
            raise ConfigError(f'{kind} "{ref.get("name", "")}" not found')
        for key in sorted(data):
            if _ENV_NAME.match(prefix + key):
                out[prefix + key] = str(data[key])
    return out


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode("utf-8", "surrogateescape")


def _ordered(pod: Object, container: Object, lookup: Lookup, facts: Facts, outer: Mapping[str, str]) -> dict[str, str]:
    out: dict[str, str] = {}
    for variable in container.get("env") or []:
        name = variable["name"]
        if "valueFrom" not in variable or variable["valueFrom"] is None:
            out[name] = expand(variable.get("value", ""), {**outer, **out})
            continue
        value = _value_from(pod, container, variable["valueFrom"], lookup, facts)
        if value is not None:
            out[name] = value
    return out


def _value_from(pod: Object, container: Object, source: Object, lookup: Lookup, facts: Facts) -> str | None:
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"].get("fieldPath", ""), facts)
    if "resourceFieldRef" in source:
        return resource_value(pod, container, source["resourceFieldRef"], facts)
    if "configMapKeyRef" in source:
        return _key(lookup.config_map, source["configMapKeyRef"], "configmap", "ConfigMap", pod)
    if "secretKeyRef" in source:
        return _key(lookup.secret, source["secretKeyRef"], "secret", "Secret", pod)
    raise ConfigError(f"unsupported source of an environment variable: {', '.join(source)}")


def _key(find: Any, ref: Object, word: str, title: str, pod: Object) -> str | None:
    name, key = ref.get("name", ""), ref.get("key", "")
    found = find(name)
    if found is None:
        if ref.get("optional"):
            return None
        raise ConfigError(f'{word} "{name}" not found')
    data = found.get("data") or {}
    if key not in data:
        if ref.get("optional"):
            return None
        raise ConfigError(f"couldn't find key {key} in {title} {namespace_of(pod)}/{name}")
    return _decoded(data[key]) if word == "secret" else str(data[key])


_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]\Z")


def field_value(pod: Object, path: str, facts: Facts) -> str:
    """A pod's field by the downward API's path. Raises ConfigError for an unknown one."""
    meta, spec = pod.get("metadata") or {}, spec_of(pod)
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        return str((meta.get(subscript[1]) or {}).get(subscript[2], ""))
    values = {
        "metadata.name": name_of(pod),
        "metadata.namespace": namespace_of(pod),
        "metadata.uid": str(uid_of(pod)),
        "metadata.labels": map_text(labels_of(pod)),
        "metadata.annotations": map_text(meta.get("annotations") or {}),
        "spec.nodeName": facts.node,
        "spec.serviceAccountName": str(spec.get("serviceAccountName", "")),
        "status.hostIP": facts.host_ips[0] if facts.host_ips else "",
        "status.hostIPs": ",".join(facts.host_ips),
        "status.podIP": facts.pod_ips[0] if facts.pod_ips else "",
        "status.podIPs": ",".join(facts.pod_ips),
    }
    if path not in values:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return values[path]


def map_text(values: Mapping[str, str]) -> str:
    """Labels or annotations as lines of key="value", sorted."""
    lines = []
    for key in sorted(values):
        text = str(values[key]).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        lines.append(f'{key}="{text}"')
    return "\n".join(lines)


def resource_value(pod: Object, container: Object, ref: Object, facts: Facts) -> str:
    """A container's limit or request in units of the divisor, rounded up; a missing limit is the node's amount."""
    named = ref.get("containerName")
    target = container_of(pod, named) if named else container
    if target is None:
        raise ConfigError(f"container {named} not found")
    kind, _, resource = str(ref.get("resource", "")).partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise ConfigError(f"unsupported container resource : {ref.get('resource', '')}")
    resources = target.get("resources") or {}
    value = (resources.get(kind) or {}).get(resource)
    if value is None and kind == "requests":
        value = (resources.get("limits") or {}).get(resource)
    divisor = str(ref.get("divisor") or "0")
    if resource == "cpu":
        whole = milli_cpu(value) if value is not None else (facts.node_milli_cpu if kind == "limits" else 0)
        unit = milli_cpu(divisor) or 1000
    else:
        whole = (
            count(value)
            if value is not None
            else (facts.node_memory if resource == "memory" and kind == "limits" else 0)
        )
        unit = count(divisor) or 1
    return str(-(-whole // unit))


def service_variables(pod: Object, services: Sequence[Object]) -> dict[str, str]:
    """NAME_SERVICE_HOST and its kin of the services with a cluster address: those of the pod's namespace (unless
    enableServiceLinks is false) and always `kubernetes`."""
    namespace, links = namespace_of(pod), spec_of(pod).get("enableServiceLinks") is not False
    chosen: dict[str, Object] = {}
    for service in services:
        spec = service.get("spec") or {}
        if spec.get("clusterIP", "None") in ("", "None") or not spec.get("ports"):
            continue
        name = name_of(service)
        if namespace_of(service) == "default" and name == "kubernetes":
            chosen.setdefault(name, service)
        if links and namespace_of(service) == namespace:
            chosen[name] = service
    out: dict[str, str] = {}
    for name in sorted(chosen):
        out |= _variables(name, chosen[name]["spec"])
    return out


def _variables(service: str, spec: Object) -> dict[str, str]:
    prefix, address = service.upper().replace("-", "_"), spec["clusterIP"]
    ports = spec["ports"]
    host = f"[{address}]" if ":" in address else address
    out = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            out[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for position, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if position == 0:
            out[f"{prefix}_PORT"] = url
        one = f"{prefix}_PORT_{port['port']}_{protocol}"
        out |= {
            one: url,
            f"{one}_PROTO": protocol.lower(),
            f"{one}_PORT": str(port["port"]),
            f"{one}_ADDR": address,
        }
    return out
