"""Ingresses as a gateway's snapshot: hosts, paths, backends and certificates, and what is wrong with them. Pure.

Of two Ingresses that want the same host and path the older one has it. A path that is longer comes first, an exact one
before a prefix of the same length; ImplementationSpecific is a prefix. After a host's own paths come those of Ingresses
without a host, then the default backends.

Envoy refuses a table of routes or a listener as a whole: what it would not take is left out, and said to its own Ingress.

Source: https://kubernetes.io/docs/concepts/services-networking/ingress/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from heeler.envoy.snapshot import Certificate, Cluster, Route, Snapshot, VirtualHost
from heeler.network.services import usable_addresses
from heeler.objects.value import Object, labels_of, meta, name_of, namespace_of
from heeler.workloads.endpoints import SERVICE_NAME

CONTROLLER = "heeler.dev/ingress"
CLASS = "heeler"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
LEGACY_CLASS = "kubernetes.io/ingress.class"
#: What services say of ports that speak HTTP/2 without TLS.
HTTP2 = ("kubernetes.io/h2c", "grpc")
#: Paths that a request can have and Envoy takes; names of hosts in small letters, with at most one star in front.
PATH = re.compile(r"/[^?#\x00-\x20\x7f]*")
HOST = re.compile(r"(?=.{1,253}\Z)(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
Key = tuple[str, str]
#: A certificate and key in PEM -> why they can't be used, "" if they can.
CheckPair = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an Ingress names and that isn't there: an event's reason and words."""

    ingress: Key
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is: Services and slices by (namespace, name), TLS secrets that were asked for: None if missing, or
    (certificate, key)."""

    services: Mapping[Key, Object]
    slices: Sequence[Object]
    secrets: Mapping[Key, tuple[str, str] | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Work:
    sources: Sources
    by_service: dict[Key, list[Object]]
    clusters: dict[str, Cluster] = field(default_factory=dict)
    problems: dict[Problem, None] = field(default_factory=dict)


def chosen(ingresses: Sequence[Object], classes: Sequence[Object]) -> list[Object]:
    """The Ingresses that are Heeler's, oldest first: of a class with its controller; without one, if that is the default."""
    ours = {name_of(c) for c in classes if (c.get("spec") or {}).get("controller") == CONTROLLER}
    default = any(
        name_of(c) in ours and (meta(c).get("annotations") or {}).get(DEFAULT_CLASS) == "true" for c in classes
    )
    out = []
    for ingress in ingresses:
        named = (ingress.get("spec") or {}).get("ingressClassName")
        named = named or (meta(ingress).get("annotations") or {}).get(LEGACY_CLASS)
        if (named in ours) if named else default:
            out.append(ingress)
    return sorted(out, key=lambda i: (str(meta(i).get("creationTimestamp", "")), namespace_of(i), name_of(i)))


def secrets_of(ingresses: Sequence[Object]) -> list[Key]:
    """The secrets that Ingresses name."""
    found = {
        (namespace_of(i), str(entry["secretName"])): None
        for i in ingresses
        for entry in (i.get("spec") or {}).get("tls") or []
        if entry.get("secretName")
    }
    return list(found)


def plan(
    ingresses: Sequence[Object], sources: Sources, fallback: tuple[str, str], check: CheckPair
) -> tuple[Snapshot, list[Problem]]:
    """The snapshot for these Ingresses (see `chosen`). `fallback` is the certificate for names that have none."""
    by_service: dict[Key, list[Object]] = {}
    for piece in sources.slices:
        by_service.setdefault((namespace_of(piece), labels_of(piece).get(SERVICE_NAME, "")), []).append(piece)
    work = _Work(sources, by_service)
    hosts: dict[str, dict[tuple[str, bool], Route]] = {}
    defaults: list[Route] = []
    for ingress in ingresses:
        spec = ingress.get("spec") or {}
        for at, rule in enumerate(spec.get("rules") or []):
            host = str(rule.get("host") or "").lower()
            if host and not _is_host(work, ingress, f"spec.rules[{at}].host", host):
                continue
            routes = hosts.setdefault(host or "*", {})
            for number, path in enumerate((rule.get("http") or {}).get("paths") or []):
                exact, text = path.get("pathType") == "Exact", str(path.get("path") or "/")
                if not PATH.fullmatch(text):
                    where = f"spec.rules[{at}].http.paths[{number}].path"
                    wanted = 'must start with "/" and have no "?", "#", space or control character'
                    _problem(work, ingress, "InvalidPath", f"{where}: {text!r} is left out: it {wanted}")
                    continue
                key = (text if exact else text.rstrip("/") or "/", exact)
                if key not in routes:
                    routes[key] = Route(text, exact, _backend(work, ingress, path["backend"]))
        if spec.get("defaultBackend"):
            defaults.append(Route("/", False, _backend(work, ingress, spec["defaultBackend"])))
    general = tuple(replace(r, general=True) for r in (*_ordered(hosts.pop("*", {})), *defaults[:1]))
    made = [VirtualHost(host, (*_ordered(routes), *general)) for host, routes in sorted(hosts.items())]
    made.append(VirtualHost("*", general))
    certificates = _certificates(work, ingresses, fallback, check)
    snapshot = Snapshot(
        tuple(host for host in made if host.routes),
        tuple(cluster for _, cluster in sorted(work.clusters.items())),
        certificates,
    )
    return snapshot, list(work.problems)


def _ordered(routes: Mapping[tuple[str, bool], Route]) -> tuple[Route, ...]:
    return tuple(routes[key] for key in sorted(routes, key=lambda key: (-len(key[0]), not key[1], key[0])))


def _problem(work: _Work, ingress: Object, reason: str, message: str) -> None:
    work.problems[Problem((namespace_of(ingress), name_of(ingress)), reason, message)] = None


def _is_host(work: _Work, ingress: Object, where: str, host: str) -> bool:
    if HOST.fullmatch(host):
        return True
    wanted = 'must be a DNS name, or one after "*."'
    _problem(work, ingress, "InvalidHost", f"{where}: {host!r} is left out: it {wanted}")
    return False


def _backend(work: _Work, ingress: Object, backend: Object) -> str:
    """The name of the cluster of a backend, made at first use; "" where there is none."""
    wanted = backend.get("service")
    if wanted is None:
        resource = backend.get("resource") or {}
        text = f"backend {resource.get('kind', '')} {resource.get('name', '')}: only Services can be backends"
        _problem(work, ingress, "UnsupportedBackend", text)
        return ""
    namespace, name = namespace_of(ingress), str(wanted.get("name", ""))
    service = work.sources.services.get((namespace, name))
    if service is None:
        _problem(work, ingress, "ServiceNotFound", f'service "{namespace}/{name}" not found')
        return ""
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        _problem(work, ingress, "UnsupportedBackend", f'service "{namespace}/{name}" is an ExternalName')
        return ""
    asked = wanted.get("port") or {}
    port = next((p for p in spec.get("ports") or [] if _is_port(p, asked)), None)
    if port is None:
        shown = asked.get("name") or asked.get("number")
        _problem(work, ingress, "PortNotFound", f'service "{namespace}/{name}" has no port {shown}')
        return ""
    cluster = f"{namespace}/{name}:{port['port']}"
    if cluster not in work.clusters:
        label = str(port.get("name") or "")
        ends = usable_addresses(work.by_service.get((namespace, name), []), label)
        work.clusters[cluster] = Cluster(cluster, ends, port.get("appProtocol") in HTTP2)
    return cluster


def _is_port(port: Object, asked: Object) -> bool:
    if asked.get("name"):
        return bool(port.get("name") == asked["name"])
    return bool(port["port"] == asked.get("number"))


def _certificates(
    work: _Work, ingresses: Sequence[Object], fallback: tuple[str, str], check: CheckPair
) -> tuple[Certificate, ...]:
    """One a secret, with the names that are its own; the last one is for all others. None at all without TLS."""
    names: dict[str, None] = {}
    found: dict[tuple[str, str], list[str]] = {}
    default, asked = fallback, False
    for ingress in ingresses:
        for at, entry in enumerate((ingress.get("spec") or {}).get("tls") or []):
            asked = True
            pair = _pair(work, ingress, str(entry.get("secretName") or ""), check)
            # Each once, whatever its letters: a name in two places makes Envoy refuse the listener.
            asked_for = dict.fromkeys(str(h).lower() for h in entry.get("hosts") or [])
            where = f"spec.tls[{at}].hosts"
            hosts = [h for h in asked_for if _is_host(work, ingress, where, h) and h not in names]
            if pair is None:
                continue
            if not entry.get("hosts") and default is fallback:
                default = pair
            names |= dict.fromkeys(hosts)
            found.setdefault(pair, []).extend(hosts)
    made = [Certificate(tuple(hosts), *pair) for pair, hosts in found.items() if hosts]
    return (*made, Certificate((), *default)) if asked else ()


def _pair(work: _Work, ingress: Object, secret: str, check: CheckPair) -> tuple[str, str] | None:
    if not secret:
        return None
    shown = f'secret "{namespace_of(ingress)}/{secret}"'
    pair = work.sources.secrets.get((namespace_of(ingress), secret))
    if pair is None:
        _problem(work, ingress, "SecretNotFound", f"{shown} with tls.crt and tls.key not found")
        return None
    why = check(*pair)
    if why:
        _problem(work, ingress, "InvalidSecret", f"{shown}: {why}")
        return None
    return pair
