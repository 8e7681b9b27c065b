"""/healthz, /livez and /readyz: what the server checks of itself, under upstream's names.

Source: https://kubernetes.io/docs/reference/using-api/health-checks/ and what kube-apiserver answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heeler.wire.http.messages import Response

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

HEALTH = ("healthz", "livez", "readyz")
_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_NOSNIFF = ("X-Content-Type-Options", "nosniff")


@dataclass(frozen=True, slots=True)
class _Check:
    name: str
    #: What must be so: "" (the process answers), "store" (it takes writes), "loaded" (all of it is in memory and followed).
    needs: str = ""
    paths: tuple[str, ...] = HEALTH


_READY = ("readyz",)
#: In upstream's order. Of its hooks only those whose work is done here too: other names aren't known.
_CHECKS = (
    _Check("ping"),
    _Check("log"),
    _Check("etcd", "store"),
    _Check("etcd-readiness", "store", _READY),
    _Check("informer-sync", "loaded", _READY),
    *(
        _Check(f"poststarthook/{name}", "loaded")
        for name in (
            *("start-apiserver-admission-initializer", "generic-apiserver-start-informers"),
            *("priority-and-fairness-config-consumer", "priority-and-fairness-filter"),
            *("start-apiextensions-informers", "start-apiextensions-controllers", "crd-informer-synced"),
            *("start-system-namespaces-controller", "start-cluster-authentication-info-controller"),
            *("storage-readiness", "rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes"),
            *("priority-and-fairness-config-producer", "bootstrap-controller"),
            *("start-kube-aggregator-informers", "apiservice-status-local-available-controller"),
            *("apiservice-status-remote-available-controller", "apiservice-registration-controller"),
            *("apiservice-discovery-controller", "kube-apiserver-autoregistration"),
        )
    ),
    _Check("autoregister-completion", "loaded"),
    _Check("poststarthook/apiservice-openapi-controller", "loaded"),
    _Check("poststarthook/apiservice-openapiv3-controller", "loaded"),
    _Check("shutdown", "loaded", _READY),
)


def paths() -> list[str]:
    """Every path that is answered."""
    return [
        *(f"/{path}" for path in HEALTH),
        *(f"/{path}/{check.name}" for check in _CHECKS for path in check.paths),
    ]


def answer(path: str, *, verbose: bool, exclude: Sequence[str], server: ApiServer) -> Response | None:
    """The answer to a path, which begins with one of HEALTH; None if it names no check."""
    first, _, name = path.removeprefix("/").partition("/")
    checks = [check for check in _CHECKS if first in check.paths]
    if name:
        found = next((check for check in checks if check.name == name), None)
        return None if found is None else _one(_fault(found, server))
    if path.endswith("/"):
        return None
    failed = [check.name for check in checks if check.name not in exclude and _fault(check, server)]
    if not failed and not verbose:
        return Response(200, [_TEXT, _NOSNIFF], b"ok")
    lines = [_line(check.name, check.name in failed, check.name in exclude) for check in checks]
    unknown = [name for name in exclude if all(name != check.name for check in checks)]
    if unknown:
        named = ",".join(f'"{name}"' for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {named}")
    lines.append(f"{first} check {'failed' if failed else 'passed'}")
    return Response(500 if failed else 200, [_TEXT, _NOSNIFF], "".join(f"{line}\n" for line in lines).encode())


def _line(name: str, failed: bool, excluded: bool) -> str:
    if excluded:
        return f"[+]{name} excluded: ok"
    return f"[-]{name} failed: reason withheld" if failed else f"[+]{name} ok"


def _one(fault: str) -> Response:
    if fault:
        return Response(500, [_TEXT, _NOSNIFF], f"internal server error: {fault}\n".encode())
    return Response(200, [_TEXT], b"ok")


def _fault(check: _Check, server: ApiServer) -> str:
    """What is wrong; "" if nothing is."""
    if check.needs == "store":
        return str(server.store.problem)
    if check.needs == "loaded" and not server.ready:
        return "the store's content isn't loaded, or isn't followed any more"
    return ""
