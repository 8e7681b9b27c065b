"""ServiceCIDRs: a finalizer that holds a range while Services have addresses that no other range covers, and `Ready`.

https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/#ip-address-objects (KEP-1880)
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import IP_ADDRESSES, SERVICE_CIDRS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, labels_of, meta, name_of
from heeler.workloads import pods

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
MANAGED_BY, API_SERVER = "ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"
#: So long after its deletion no API server takes an address of the range any more.
GRACE_SECONDS = 10.0
READY = {"status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready"}
IN_USE = {
    "status": "False",
    "reason": "Terminating",
    "message": (
        "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
    ),
}


def networks(cidr: Object) -> list[Network]:
    """The ranges of a ServiceCIDR; what is no range is left out."""
    out: list[Network] = []
    for text in cidr["spec"].get("cidrs") or ():
        try:
            out.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return out


def address_of(obj: Object) -> Address | None:
    """The address that an IPAddress stands for, if an API server took it for a Service."""
    if labels_of(obj).get(MANAGED_BY) != API_SERVER:
        return None
    try:
        return ipaddress.ip_address(name_of(obj))
    except ValueError:
        return None


def may_go(cidr: Object, everything: Iterable[Object], addresses: Sequence[Address]) -> bool:
    """Whether each address in use within a ServiceCIDR is covered by another one."""
    others = [network for other in everything if name_of(other) != name_of(cidr) for network in networks(other)]
    mine = networks(cidr)
    if all(any(_covers(other, one) for other in others) for one in mine):
        return True
    return not any(
        any(address in network for network in mine) and not any(address in network for network in others)
        for address in addresses
    )


def _covers(wide: Network, narrow: Network) -> bool:
    return narrow.network_address in wide and narrow.prefixlen >= wide.prefixlen


def with_ready(cidr: Object, wanted: dict[str, str], now: float) -> Object | None:
    """The condition `Ready` as wanted; None if it says so already."""
    known = pods.condition(cidr, "Ready")
    if known is not None and all((known.get(key) or "") == value for key, value in wanted.items()):
        return None
    return {"type": "Ready", **wanted, "lastTransitionTime": rfc3339(now)}


class ServiceCidrController:
    """Keys are names of ServiceCIDRs."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._events = context.recorder("service-cidr-controller")
        self._cidrs = context.informers.get(SERVICE_CIDRS)
        self._addresses = context.informers.get(IP_ADDRESSES)
        self._cidrs.add_handler(self._cidr_changed)
        self._addresses.add_handler(self._address_changed)

    def _cidr_changed(self, old: Object | None, new: Object | None) -> None:
        """Another range may release one that waits, or be what it waited for."""
        if new is not None:
            self.queue.add(key_of(new))
        if old is None or new is None:
            self._look_at_waiting()

    def _address_changed(self, old: Object | None, new: Object | None) -> None:
        if (old is None or new is None) and address_of(new or old or {}) is not None:
            self._look_at_waiting()

    def _look_at_waiting(self) -> None:
        for cidr in self._cidrs:
            if "deletionTimestamp" in cidr["metadata"]:
                self.queue.add(key_of(cidr))

    async def reconcile(self, key: str) -> None:
        cidr = self._cidrs.get(key)
        if cidr is None:
            return
        if "deletionTimestamp" not in cidr["metadata"]:
            await self._keep(cidr)
            return
        if FINALIZER not in (meta(cidr).get("finalizers") or ()):
            return
        addresses = [found for obj in self._addresses if (found := address_of(obj)) is not None]
        if not may_go(cidr, self._cidrs, addresses):
            await self._tell(cidr, IN_USE)
            return
        left = parse_rfc3339(cidr["metadata"]["deletionTimestamp"]) + GRACE_SECONDS - self._context.clock.time()
        if left > 0:
            self.queue.add_after(key, left)
            return
        await self._patch(cidr, {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}})

    async def _keep(self, cidr: Object) -> None:
        if FINALIZER not in (meta(cidr).get("finalizers") or ()):
            await self._patch(cidr, {"metadata": {"finalizers": [FINALIZER]}})
        try:
            await self._tell(cidr, READY)
        except (StatusError, OSError):
            message = "The ServiceCIDR Status can not be set to Ready=True"
            about = {**cidr, "kind": "ServiceCIDR", "apiVersion": SERVICE_CIDRS.api_version}
            self._events.record(about, "Warning", "KubernetesServiceCIDRError", message)
            raise

    async def _tell(self, cidr: Object, wanted: dict[str, str]) -> None:
        condition = with_ready(cidr, wanted, self._context.clock.time())
        if condition is None:
            return
        applied: Object = {
            "kind": "ServiceCIDR",
            "apiVersion": SERVICE_CIDRS.api_version,
            "metadata": {"name": name_of(cidr)},
            "status": {"conditions": [condition]},
        }
        done = await self._client.patch(
            SERVICE_CIDRS,
            name_of(cidr),
            applied,
            type="application/apply-patch+yaml",
            subresource="status",
            field_manager="service-cidr-controller",
            force=True,
        )
        self._cidrs.assume(done)

    async def _patch(self, cidr: Object, patch: Object) -> None:
        try:
            done = await self._client.patch(
                SERVICE_CIDRS, name_of(cidr), patch, type="application/strategic-merge-patch+json"
            )
        except StatusError as error:
            if error.code != 404:
                raise
            return
        if FINALIZER in (meta(done).get("finalizers") or ()):
            self._cidrs.assume(done)
