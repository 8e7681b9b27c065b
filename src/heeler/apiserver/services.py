"""A Service's addresses and node ports: taken from the server's ranges, one key in the store for each.

Creating the key is what makes it unique, so several API servers may share a store. An address is an IPAddress object, as
upstream has it; a port is a key of its own. Source: https://kubernetes.io/docs/concepts/services-networking/cluster-ip-allocation/
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver.cache import ROOT, encode, key_of
from heeler.base.clock import rfc3339
from heeler.kinds.core.service_rules import FAMILIES
from heeler.objects import faults
from heeler.objects.status import internal_error, invalid
from heeler.objects.value import Object
from heeler.store.store import KeyExists, KeyNotFound, RevisionMismatch
from heeler.workloads.pods import has_condition

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

PORTS = f"{ROOT}ranges/servicenodeports/"
NETWORKING = "networking.k8s.io"
#: Random tries before the range is searched in order.
RANDOM_TRIES = 16
#: Addresses searched in order at most.
MAX_SEARCHED = 65_536


def _family_of(address: str) -> str:
    """IPv4 or IPv6; "" for what is no address."""
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""


class Taken:
    """What was taken for one service, to be given back if it isn't stored."""

    def __init__(self, hooks: ServiceHooks) -> None:
        self._hooks = hooks
        self.addresses: list[str] = []
        self.ports: list[int] = []

    async def release(self) -> None:
        for address in self.addresses:
            await self._hooks.free_address(address)
        for port in self.ports:
            await self._hooks.free_port(port)


class ServiceHooks:
    """Allocates on create and update, frees on update and delete."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._network: Any = ipaddress.ip_network(server.settings.service_cluster_ip_range)
        self._family = f"IPv{self._network.version}"

    async def before_create(self, server: ApiServer, obj: Object, dry_run: bool) -> Taken:
        taken = Taken(self)
        try:
            await self._allocate(obj, taken, dry_run)
        except BaseException:
            await taken.release()
            raise
        return taken

    async def before_update(self, server: ApiServer, new: Object, old: Object, dry_run: bool) -> None:
        taken = Taken(self)
        try:
            await self._allocate(new, taken, dry_run, old)
        except BaseException:
            await taken.release()
            raise

    async def after_update(self, server: ApiServer, new: Object, old: Object, *, deleted: bool) -> None:
        kept_addresses = set() if deleted else set(_addresses(new))
        kept_ports = set() if deleted else set(_ports(new))
        for address in _addresses(old):
            if address not in kept_addresses:
                await self.free_address(address)
        for port in _ports(old):
            if port not in kept_ports:
                await self.free_port(port)

    async def after_delete(self, server: ApiServer, old: Object) -> None:
        for address in _addresses(old):
            await self.free_address(address)
        for port in _ports(old):
            await self.free_port(port)

    async def _allocate(self, obj: Object, taken: Taken, dry_run: bool, old: Object | None = None) -> None:
        spec = obj["spec"]
        if spec.get("type") != "ExternalName":
            self._families(spec, obj["metadata"].get("name", ""))
            if spec.get("clusterIP") != "None":
                await self._cluster_address(obj, taken, dry_run, _addresses(old or {}))
            elif not spec.get("clusterIPs"):
                spec["clusterIPs"] = ["None"]
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            await self._node_ports(obj, taken, dry_run, _ports(old or {}))

    def _families(self, spec: Object, name: str) -> None:
        """This cluster has one family: what asks for the other one is refused. Raises 422."""
        headless_without_selector = spec.get("clusterIP") == "None" and not spec.get("selector")
        addresses = spec.get("clusterIPs") or [spec.get("clusterIP") or "None"]
        found = [
            faults.invalid(f"spec.clusterIPs[{at}]", addresses, f"{family} is not configured on this cluster")
            for at, family in enumerate(_family_of(address) for address in addresses)
            if family not in ("", self._family)
        ]
        if not headless_without_selector:
            found += [
                faults.invalid(f"spec.ipFamilies[{at}]", family, "not configured on this cluster")
                for at, family in enumerate(spec.get("ipFamilies") or ())
                if family in FAMILIES and family != self._family
            ]
            if spec.get("ipFamilyPolicy") == "RequireDualStack":
                why = "this cluster is not configured for dual-stack services"
                found.append(faults.invalid("spec.ipFamilyPolicy", "RequireDualStack", why))
        if found:
            raise invalid("Service", "", name, found)
        if not spec.get("ipFamilyPolicy"):
            spec["ipFamilyPolicy"] = "RequireDualStack" if headless_without_selector else "SingleStack"
        if not spec.get("ipFamilies"):
            spec["ipFamilies"] = ["IPv4", "IPv6"] if headless_without_selector else [self._family]

    async def _cluster_address(self, obj: Object, taken: Taken, dry_run: bool, before: list[str]) -> None:
        spec = obj["spec"]
        given = spec.get("clusterIP") or (spec.get("clusterIPs") or [""])[0]
        if given and before and given not in before:
            return  # an address may not be changed: the rules of the kind refuse it
        if given and given not in before:
            await self._take_given(obj, given, taken, dry_run)
        elif not given:
            given = await self._take_any(obj, taken, dry_run)
        spec["clusterIP"] = given
        if not spec.get("clusterIPs"):
            spec["clusterIPs"] = [given]

    async def _take_given(self, obj: Object, given: str, taken: Taken, dry_run: bool) -> None:
        try:
            inside = any(ipaddress.ip_address(given) in network for network in self._networks())
        except ValueError:
            return  # the rules of the kind say what is wrong with it
        why = ""
        if not inside:
            why = f"the provided IP ({given}) is not in the valid range. The range of valid IPs is {self._network}"
        elif not dry_run and not await self._create_address(obj, given):
            why = "provided IP is already allocated"
        if why:
            text = f"failed to allocate IP {given}: {why}"
            fault = faults.invalid("spec.clusterIPs", obj["spec"].get("clusterIPs") or [given], text)
            raise invalid("Service", "", obj["metadata"].get("name", ""), [fault])
        if not dry_run:
            taken.addresses.append(given)

    def _networks(self) -> list[Any]:
        """Where addresses come from: the server's own range first, then those of ServiceCIDRs that are ready."""
        out = [self._network]
        for cidr in self._server.objects(NETWORKING, "servicecidrs"):
            if "deletionTimestamp" in cidr["metadata"] or not has_condition(cidr, "Ready"):
                continue
            for text in (cidr.get("spec") or {}).get("cidrs") or ():
                network = ipaddress.ip_network(text, strict=False)
                if network.version == self._network.version and network not in out:
                    out.append(network)
        return out

    async def _take_any(self, obj: Object, taken: Taken, dry_run: bool) -> str:
        for network in self._networks():
            found = await self._take_from(network, obj, taken, dry_run)
            if found:
                return found
        raise internal_error(f"failed to allocate a serviceIP: range {self._network} is full")

    async def _take_from(self, network: Any, obj: Object, taken: Taken, dry_run: bool) -> str:
        """Any free address of a range; "" if it is full."""
        size = network.num_addresses
        # the lower part of the range is left to those who choose an address themselves
        band = min(max(16, size // 16), 256) if size > 64 else 0
        for attempt in range(RANDOM_TRIES + min(size, MAX_SEARCHED)):
            if attempt < RANDOM_TRIES and size - 2 > band:
                offset = band + self._server.random.below(max(1, size - 1 - band))
            else:
                offset = attempt - RANDOM_TRIES + 1
            if not 0 < offset < size - 1:
                continue
            address = str(network[offset])
            if dry_run:
                return address
            if await self._create_address(obj, address):
                taken.addresses.append(address)
                return address
        return ""

    async def _create_address(self, obj: Object, address: str) -> bool:
        kind = self._server.kind(NETWORKING, "ipaddresses")
        key = key_of(kind, "", address)
        if key in self._server.cache.of(kind).items:
            return False
        metadata = obj["metadata"]
        now = rfc3339(self._server.clock.time())
        value = {
            "kind": "IPAddress",
            "apiVersion": f"{NETWORKING}/v1",
            "metadata": {
                "name": address,
                "uid": self._server.random.uuid(),
                "creationTimestamp": now,
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": self._family,
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                },
            },
            "spec": {
                "parentRef": {
                    "resource": "services",
                    "namespace": metadata.get("namespace", ""),
                    "name": metadata.get("name", ""),
                }
            },
        }
        try:
            await self._server.store.create(key, encode(value))
        except KeyExists:
            return False
        return True

    async def _node_ports(self, obj: Object, taken: Taken, dry_run: bool, before: list[int]) -> None:
        spec = obj["spec"]
        balancer = spec.get("type") == "LoadBalancer"
        wanted = not (balancer and spec.get("allocateLoadBalancerNodePorts") is False)
        by_number: dict[int, int] = {}
        for index, port in enumerate(spec.get("ports") or ()):
            given = port.get("nodePort") or 0
            if given:
                if given not in before and given not in taken.ports:
                    await self._take_given_port(obj, index, given, taken, dry_run)
                by_number[port["port"]] = given
            elif wanted:
                # the same port number for TCP and UDP shares one node port
                shared = by_number.get(port["port"])
                port["nodePort"] = shared or await self._take_any_port(obj, taken, dry_run, index)
                by_number[port["port"]] = port["nodePort"]
        if balancer and spec.get("externalTrafficPolicy") == "Local" and not spec.get("healthCheckNodePort"):
            spec["healthCheckNodePort"] = await self._take_any_port(obj, taken, dry_run, 0)

    async def _take_given_port(self, obj: Object, index: int, port: int, taken: Taken, dry_run: bool) -> None:
        low, high = self._server.settings.service_node_port_range
        why = ""
        if dry_run:  # upstream looks neither at the range nor at who has it
            return
        if not low <= port <= high:
            why = f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
        elif not await self._create_port(obj, port):
            why = "provided port is already allocated"
        if why:
            fault = faults.invalid(f"spec.ports[{index}].nodePort", port, why)
            raise invalid("Service", "", obj["metadata"].get("name", ""), [fault])
        taken.ports.append(port)

    async def _take_any_port(self, obj: Object, taken: Taken, dry_run: bool, index: int) -> int:
        low, high = self._server.settings.service_node_port_range
        if dry_run:  # a number that nobody can have
            return high + 2 + index
        for attempt in range(RANDOM_TRIES + high - low + 1):
            random = attempt < RANDOM_TRIES
            port = low + self._server.random.below(high - low + 1) if random else low + attempt - RANDOM_TRIES
            if await self._create_port(obj, port):
                taken.ports.append(port)
                return port
        raise internal_error("failed to allocate a nodePort: range is full")

    async def _create_port(self, obj: Object, port: int) -> bool:
        metadata = obj["metadata"]
        owner = {"namespace": metadata.get("namespace", ""), "name": metadata.get("name", "")}
        try:
            await self._server.store.create(f"{PORTS}{port}", orjson.dumps(owner))
        except KeyExists:
            return False
        return True

    async def free_address(self, address: str) -> None:
        kind = self._server.kind(NETWORKING, "ipaddresses")
        await self._delete(key_of(kind, "", address))

    async def free_port(self, port: int) -> None:
        await self._delete(f"{PORTS}{port}")

    async def _delete(self, key: str) -> None:
        entry = await self._server.store.get(key)
        if entry is not None:
            try:
                await self._server.store.delete(key, entry.revision)
            except (KeyNotFound, RevisionMismatch):
                pass

    async def repair(self) -> None:
        """Free what belongs to services that are gone (a crash between two writes leaves that)."""
        addresses: set[str] = set()
        ports: set[int] = set()
        for service in self._server.objects("", "services"):
            addresses.update(_addresses(service))
            ports.update(_ports(service))
        for obj in list(self._server.objects(NETWORKING, "ipaddresses")):
            labels = obj["metadata"].get("labels") or {}
            own = labels.get("ipaddress.kubernetes.io/managed-by") == "ipallocator.k8s.io"
            if own and obj["metadata"]["name"] not in addresses:
                await self.free_address(obj["metadata"]["name"])
        for entry in (await self._server.store.list(PORTS)).entries:
            if int(entry.key.removeprefix(PORTS)) not in ports:
                await self._delete(entry.key)


def _addresses(service: Object) -> list[str]:
    spec = service.get("spec") or {}
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [a for a in found if a and a != "None"]


def _ports(service: Object) -> list[int]:
    spec = service.get("spec") or {}
    found = [p["nodePort"] for p in spec.get("ports") or () if p.get("nodePort")]
    if spec.get("healthCheckNodePort"):
        found.append(spec["healthCheckNodePort"])
    return found
