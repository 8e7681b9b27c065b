"""What is checked of containers: regular, init and ephemeral ones. https://kubernetes.io/docs/concepts/containers/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from heeler.kinds.core.field_rules import ENV_FIELDS, field_selector, resource_selector
from heeler.kinds.core.security_rules import container_security
from heeler.kinds.meta.checks import descending_path, needed, no_backsteps, not_negative, numbered, one_of, port_or_name
from heeler.kinds.meta.objectmeta import each
from heeler.kinds.meta.resource_rules import requirements
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_found, not_supported, required, too_many
from heeler.objects.value import Object

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
ONE_HANDLER = "may not specify more than 1 handler type"
RESTART_ACTIONS = ("Restart", "RestartAllContainers")
MAX_RESTART_RULES, MAX_EXIT_CODES = 20, 255
ONLY_RESTARTABLE = "may not be set for init containers without restartPolicy=Always"
_HEADER = re.compile(r"[-A-Za-z0-9]+\Z")


@dataclass(slots=True)
class Around:
    """What a container's checks need of its pod."""

    volumes: dict[str, Object]
    claims: tuple[str, ...] = ()
    grace_seconds: int | None = None
    restart_policy: str = ""
    host_users: bool = True
    names: dict[str, bool] = field(default_factory=dict)


def containers(rows: list[Object] | None, around: Around, path: str) -> Iterator[Fault]:
    """Regular containers: at least one, each with a name of its own."""
    if not rows:
        yield required(path)
        return
    for at, container in numbered(rows):
        here = f"{path}[{at}]"
        yield from _common(container, around, here)
        yield from _unique_name(container, around, here)
        if "lifecycle" in container:
            yield from _lifecycle(container, around, here)
        yield from _probes(container, around, here)
        yield from _restart_policy(container, here)
    yield from _host_ports(rows, path)


def _restart_policy(container: Object, path: str) -> Iterator[Fault]:
    """The container's own policy, and which exits it is for."""
    allowed = ("Always", "Never", "OnFailure")
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        if not rules:
            return
        yield required(f"{path}.restartPolicy", "must specify restartPolicy when restart rules are used")
    elif policy not in allowed:
        yield not_supported(f"{path}.restartPolicy", policy, allowed)
    if len(rules) > MAX_RESTART_RULES:
        yield too_many(f"{path}.restartPolicyRules", len(rules), MAX_RESTART_RULES)
    for at, rule in numbered(rules):
        here = f"{path}.restartPolicyRules[{at}]"
        if rule.get("action") not in RESTART_ACTIONS:
            yield not_supported(f"{here}.action", rule.get("action", ""), RESTART_ACTIONS)
        codes = rule.get("exitCodes")
        if codes is None:
            yield required(f"{here}.exitCodes", "must be specified")
            continue
        if codes.get("operator") not in ("In", "NotIn"):
            yield not_supported(f"{here}.exitCodes.operator", codes.get("operator", ""), ("In", "NotIn"))
        values = codes.get("values") or []
        if len(values) > MAX_EXIT_CODES:
            yield too_many(f"{here}.exitCodes.values", len(values), MAX_EXIT_CODES)


def _unique_name(container: Object, around: Around, path: str) -> Iterator[Fault]:
    name = container.get("name", "")
    if name in around.names:
        yield duplicate(f"{path}.name", name)
    elif name:
        around.names[name] = True


def init_containers(rows: list[Object] | None, around: Around, path: str) -> Iterator[Fault]:
    """Init containers; those that restart always (sidecars) may have probes and hooks."""
    for at, container in numbered(rows):
        here = f"{path}[{at}]"
        yield from _common(container, around, here)
        sidecar = container.get("restartPolicy") == "Always"
        if container.get("restartPolicy") is None and container.get("restartPolicyRules"):
            yield required(f"{here}.restartPolicy", "must specify restartPolicy when restart rules are used")
        elif container.get("restartPolicy") is not None:
            yield from _restart_policy(container, here)
        yield from _unique_name(container, around, here)
        yield from _host_ports([container], path)
        if sidecar:
            yield from _lifecycle(container, around, here)
            yield from _probes(container, around, here)
            continue
        for key in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if key in container:
                yield forbidden(f"{here}.{key}", ONLY_RESTARTABLE)
        for index, row in numbered(container.get("resizePolicy")):
            if row.get("restartPolicy") == "RestartContainer":
                words = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                yield invalid(f"{here}.resizePolicy[{index}].restartPolicy", "RestartContainer", words)


_EPHEMERAL_LACKS = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "restartPolicy")


def ephemeral_containers(rows: list[Object] | None, around: Around, known: list[str], path: str) -> Iterator[Fault]:
    """Ephemeral containers: no ports, probes, hooks nor resources."""
    for at, container in numbered(rows):
        here = f"{path}[{at}]"
        yield from _common(container, around, here)
        yield from _unique_name(container, around, here)
        target = container.get("targetContainerName")
        if target and target not in known:
            yield not_found(f"{here}.targetContainerName", target)
        for key in _EPHEMERAL_LACKS:
            if container.get(key):
                yield forbidden(f"{here}.{key}", "cannot be set for an Ephemeral Container")
        if container.get("resources"):
            yield forbidden(f"{here}.resources", "cannot be set for an Ephemeral Container")
        for index, mount in numbered(container.get("volumeMounts")):
            for key in ("subPath", "subPathExpr"):
                if mount.get(key):
                    yield forbidden(f"{here}.volumeMounts[{index}].{key}", "cannot be set for an Ephemeral Container")


def _common(container: Object, around: Around, path: str) -> Iterator[Fault]:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from each(f"{path}.name", name, names.label(name))
    yield from needed(container.get("image"), f"{path}.image")
    yield from one_of(
        container.get("terminationMessagePolicy"),
        ("File", "FallbackToLogsOnError"),
        f"{path}.terminationMessagePolicy",
    )
    if container.get("ports"):
        yield from _ports(container["ports"], f"{path}.ports")
    if container.get("env"):
        yield from env(container["env"], f"{path}.env")
    if container.get("envFrom"):
        yield from env_from(container["envFrom"], f"{path}.envFrom")
    if container.get("volumeMounts"):
        yield from _mounts(container, around, f"{path}.volumeMounts")
    if container.get("volumeDevices"):
        yield from _devices(container, around, f"{path}.volumeDevices")
    yield from one_of(container.get("imagePullPolicy"), PULL_POLICIES, f"{path}.imagePullPolicy")
    if container.get("resources"):
        yield from requirements(container["resources"], around.claims, f"{path}.resources")
    if container.get("resizePolicy"):
        yield from _resize(container["resizePolicy"], around.restart_policy, f"{path}.resizePolicy")
    if container.get("securityContext") is not None:
        yield from container_security(container["securityContext"], f"{path}.securityContext", around.host_users)


def _ports(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, port in numbered(rows):
        here = f"{path}[{at}]"
        name = port.get("name")
        if name:
            wrong = names.port_name(name)
            yield from each(f"{here}.name", name, wrong)
            if not wrong:
                if name in seen:
                    yield duplicate(f"{here}.name", name)
                seen.add(name)
        if not port.get("containerPort"):
            yield required(f"{here}.containerPort")
        else:
            yield from each(f"{here}.containerPort", port["containerPort"], names.port(port["containerPort"]))
        if port.get("hostPort"):
            yield from each(f"{here}.hostPort", port["hostPort"], names.port(port["hostPort"]))
        yield from one_of(port.get("protocol"), PROTOCOLS, f"{here}.protocol")


def _host_ports(rows: list[Object], path: str) -> Iterator[Fault]:
    """No two ports of the pod's containers take the same port of the host."""
    seen: set[str] = set()
    for at, container in numbered(rows):
        for index, port in numbered(container.get("ports")):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in seen:
                yield duplicate(f"{path}[{at}].ports[{index}].hostPort", text)
            else:
                seen.add(text)


# Environment.


def env(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    for at, row in numbered(rows):
        here, name = f"{path}[{at}]", row.get("name", "")
        if not name:
            yield required(f"{here}.name")
        else:
            yield from each(f"{here}.name", name, names.env_name(name))
        if row.get("valueFrom") is not None:
            yield from _value_from(row, f"{here}.valueFrom")


def _value_from(row: Object, path: str) -> Iterator[Fault]:
    source = row["valueFrom"]
    if "fieldRef" in source:
        yield from field_selector(source["fieldRef"], ENV_FIELDS, f"{path}.fieldRef")
    if "resourceFieldRef" in source:
        yield from resource_selector(source["resourceFieldRef"], f"{path}.resourceFieldRef", False)
    for key in ("configMapKeyRef", "secretKeyRef"):
        if key in source:
            yield from _key_selector(source[key], f"{path}.{key}")
    if "fileKeyRef" in source:
        for key in ("volumeName", "path", "key"):
            yield from needed(source["fileKeyRef"].get(key), f"{path}.fileKeyRef.{key}")
    count = sum(
        key in source for key in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
    )
    if not count:
        yield invalid(
            path,
            "",
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        )
    if row.get("value"):
        if count:
            yield invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def _key_selector(selector: Object, path: str) -> Iterator[Fault]:
    name = selector.get("name", "")
    yield from each(f"{path}.name", name, names.subdomain(name))
    if not selector.get("key"):
        yield required(f"{path}.key")
    else:
        yield from each(f"{path}.key", selector["key"], names.config_key(selector["key"]))


def env_from(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    for at, row in numbered(rows):
        if row.get("prefix"):
            yield from each(f"{path}[{at}].prefix", row["prefix"], names.env_name(row["prefix"]))
        count = 0
        for key in ("configMapRef", "secretRef"):
            if key in row:
                count += 1
                yield from _reference_name(row[key].get("name", ""), f"{path}[{at}].{key}.name")
        if not count:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            yield invalid(path, "", "may not have more than one field specified at a time")


def _reference_name(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
    else:
        yield from each(path, name, names.subdomain(name))


# Volumes.


def _mounts(container: Object, around: Around, path: str) -> Iterator[Fault]:
    devices = {d.get("name", ""): d.get("devicePath", "") for d in container.get("volumeDevices") or ()}
    seen: set[str] = set()
    for at, mount in numbered(container.get("volumeMounts")):
        here = f"{path}[{at}]"
        name, mount_path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{here}.name")
        if name not in around.volumes:
            yield not_found(f"{here}.name", name)
        if not mount_path:
            yield required(f"{here}.mountPath")
        if mount_path in seen:
            yield invalid(f"{here}.mountPath", mount_path, "must be unique")
        seen.add(mount_path)
        if name in devices:
            yield invalid(f"{here}.name", name, "must not already exist in volumeDevices")
        if mount_path in devices.values():
            yield invalid(f"{here}.mountPath", mount_path, "must not already exist as a path in volumeDevices")
        if mount.get("subPath"):
            yield from descending_path(mount["subPath"], f"{path}.subPath")
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                yield invalid(
                    f"{here}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
                )
            yield from descending_path(mount["subPathExpr"], f"{path}.subPathExpr")
        yield from _propagation(mount, container, path)
        yield from _recursive_read_only(mount, f"{path}.recursiveReadOnly")


def _propagation(mount: Object, container: Object, path: str) -> Iterator[Fault]:
    mode = mount.get("mountPropagation")
    if mode is None:
        return
    allowed = ("Bidirectional", "HostToContainer", "None")
    if mode not in allowed:
        yield not_supported(f"{path}.mountPropagation", mode, allowed)
    if mode == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        yield forbidden(
            f"{path}.mountPropagation", "Bidirectional mount propagation is available only to privileged containers"
        )


def _recursive_read_only(mount: Object, path: str) -> Iterator[Fault]:
    mode = mount.get("recursiveReadOnly")
    if mode is None or mode == "Disabled":
        return
    if mode not in ("Enabled", "IfPossible"):
        yield not_supported(path, mode, ("Disabled", "Enabled", "IfPossible"))
        return
    if not mount.get("readOnly"):
        yield forbidden(path, "may only be specified when readOnly is true")
    if mount.get("mountPropagation") not in (None, "None"):
        yield forbidden(path, "may only be specified when mountPropagation is None or not specified")


def _devices(container: Object, around: Around, path: str) -> Iterator[Fault]:
    mounts = {m.get("name", ""): m.get("mountPath", "") for m in container.get("volumeMounts") or ()}
    seen_paths: set[str] = set()
    seen_names: set[str] = set()
    for at, device in numbered(container.get("volumeDevices")):
        here = f"{path}[{at}]"
        name, device_path = device.get("name", ""), device.get("devicePath", "")
        if not name:
            yield required(f"{here}.name")
        if name in seen_names:
            yield invalid(f"{here}.name", name, "must be unique")
        volume = around.volumes.get(name)
        if volume is not None and not ("persistentVolumeClaim" in volume or "ephemeral" in volume):
            yield invalid(
                f"{here}.name",
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            )
        elif volume is None:
            yield not_found(f"{here}.name", name)
        if not device_path:
            yield required(f"{here}.devicePath")
        if device_path in seen_paths:
            yield invalid(f"{here}.devicePath", device_path, "must be unique")
        if device_path:
            yield from no_backsteps(device_path, f"{here}.devicePath")
            seen_paths.add(device_path)
        if name in mounts:
            yield invalid(f"{here}.name", name, "must not already exist in volumeMounts")
        if device_path in mounts.values():
            yield invalid(f"{here}.devicePath", device_path, "must not already exist as a path in volumeMounts")
        if name:
            seen_names.add(name)


def _resize(rows: list[Object] | None, restart_policy: str, path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    allowed = ("NotRequired", "RestartContainer")
    for at, row in numbered(rows):
        name, policy = row.get("resourceName", ""), row.get("restartPolicy", "")
        if name in seen:
            yield duplicate(f"{path}[{at}]", name)
        seen.add(name)
        if name not in ("cpu", "memory"):
            yield (required(path) if not name else not_supported(path, name, ("cpu", "memory")))
        if policy not in allowed:
            yield (required(path) if not policy else not_supported(path, policy, allowed))
        if restart_policy == "Never" and policy != "NotRequired":
            yield invalid(path, policy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'")


# Probes and hooks.


def _probes(container: Object, around: Around, path: str) -> Iterator[Fault]:
    for key in ("livenessProbe", "readinessProbe", "startupProbe"):
        if key in container:
            probe, here = container[key], f"{path}.{key}"
            yield from _probe(probe, around, here)
            if key != "readinessProbe" and probe.get("successThreshold", 0) != 1:
                yield invalid(f"{here}.successThreshold", probe.get("successThreshold", 0), "must be 1")
            if key == "readinessProbe" and probe.get("terminationGracePeriodSeconds") is not None:
                yield invalid(
                    f"{here}.terminationGracePeriodSeconds",
                    probe["terminationGracePeriodSeconds"],
                    "must not be set for readinessProbes",
                )


def _probe(probe: Object, around: Around, path: str) -> Iterator[Fault]:
    yield from _handler(probe, around, path)
    for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        yield from not_negative(probe.get(key), f"{path}.{key}")
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def _lifecycle(container: Object, around: Around, path: str) -> Iterator[Fault]:
    lifecycle = container.get("lifecycle") or {}
    for key in ("postStart", "preStop"):
        if key in lifecycle:
            yield from _handler(lifecycle[key], around, f"{path}.lifecycle.{key}")


def _handler(handler: Object, around: Around, path: str) -> Iterator[Fault]:
    found = 0
    for key in ("exec", "httpGet", "tcpSocket", "grpc", "sleep"):
        if key not in handler:
            continue
        if found:
            yield forbidden(f"{path}.{key}", ONE_HANDLER)
            continue
        found += 1
        action, here = handler[key], f"{path}.{key}"
        if key == "exec":
            yield from needed(action.get("command"), f"{here}.command")
        elif key == "httpGet":
            yield from _http_get(action, here)
        elif key in ("tcpSocket", "grpc"):
            yield from port_or_name(action.get("port", 0), f"{here}.port")
        else:
            yield from _sleep(action, around, here)
    if not found:
        yield required(path, "must specify a handler type")


def _http_get(action: Object, path: str) -> Iterator[Fault]:
    yield from needed(action.get("path"), f"{path}.path")
    yield from port_or_name(action.get("port", 0), f"{path}.port")
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        yield not_supported(f"{path}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
    for _, header in numbered(action.get("httpHeaders")):
        if not _HEADER.match(header.get("name", "")):
            yield invalid(
                f"{path}.httpHeaders",
                header.get("name", ""),
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used "
                "for validation is '[-A-Za-z0-9]+')",
            )


def _sleep(action: Object, around: Around, path: str) -> Iterator[Fault]:
    seconds, grace = action.get("seconds", 0), around.grace_seconds
    if grace is not None and not 0 <= seconds <= grace:
        yield invalid(path, seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({grace})")
