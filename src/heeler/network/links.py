"""A node's network namespace, joined by a veth to the cluster's bridge in a "fabric" namespace; the optional uplink.

    host ── uplink (optional, masqueraded, closed inward) ── fabric: bridge ── node: eth0 ── pods (ptp)

Without an uplink the fabric has no link to anywhere else. In either case it drops what is for pods or services: such a
packet has lost its way. Every step may be repeated. Commands go through `ip -batch` and `nft`, one process each.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heeler.base.files import locked
from heeler.base.netns import NETNS_FOLDER, NetNamespace
from heeler.base.processes import ProgramError, check, find_program, run

MTU = 1450
#: The uplink's two ends; the link is found by its names, so the same pair of addresses would do for one cluster only.
BRIDGE = "fabric0"
UPLINK = "uplink0"


@dataclass(frozen=True, slots=True)
class Links:
    """Names and addresses of one node's place in the fabric."""

    fabric_netns: str
    node_netns: str
    node_link: str
    uplink_host: str
    host_table: str
    fabric: ipaddress.IPv4Network
    gateway: str
    node_ip: str
    cluster_cidr: str
    service_cidr: str
    uplink: bool


async def ip(commands: list[str], netns: str = "", *, force: bool = False) -> None:
    """Several `ip` commands in one process; with `force` each is tried and failures are ignored."""
    arguments = ["ip", *(["-n", netns] if netns else []), *(["-force"] if force else []), "-batch", "-"]
    text = "\n".join(commands).encode() + b"\n"
    if force:
        await run(arguments, input=text)
    else:
        await check(arguments, input=text)


async def links_of(netns: str) -> list[str]:
    """The names of a namespace's links; none where it doesn't exist."""
    done = await run(["ip", *(["-n", netns] if netns else []), "-j", "link", "show"])
    if done.code != 0:
        return []
    return [str(link.get("ifname", "")) for link in json.loads(done.out or b"[]")]


async def up(links: Links) -> None:
    """Make what is missing of the fabric, the node's namespace and the uplink. Raises ProgramError."""
    # Nodes of one cluster start at the same time: one at a time makes the shared part.
    lock = Path("/run/heeler") / f"{links.fabric_netns}.lock"
    with await asyncio.to_thread(_held, lock):
        await _fabric(links)
        await _node(links)
        if links.uplink:
            await _uplink(links)


def _held(path: Path) -> Any:
    context = locked(path)
    context.__enter__()
    return _Release(context)


class _Release:
    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> None: ...

    def __exit__(self, *exception: object) -> None:
        self._context.__exit__(None, None, None)


async def _fabric(links: Links) -> None:
    name = links.fabric_netns
    if not (NETNS_FOLDER / name).exists():
        await check(["ip", "netns", "add", name])
    have = await links_of(name)
    if BRIDGE not in have:
        await ip([f"link add {BRIDGE} type bridge"], name)
    await ip(
        [
            "link set lo up",
            f"link set {BRIDGE} up",
            f"address replace {links.gateway}/{links.fabric.prefixlen} dev {BRIDGE}",
            f"route replace blackhole {links.cluster_cidr}",
            f"route replace blackhole {links.service_cidr}",
        ],
        name,
    )


async def _node(links: Links) -> None:
    name = links.node_netns
    if not (NETNS_FOLDER / name).exists():
        await check(["ip", "netns", "add", name])
    if "eth0" not in await links_of(name):
        if links.node_link in await links_of(links.fabric_netns):
            await ip([f"link delete {links.node_link}"], links.fabric_netns)
        await ip(
            [f"link add eth0 mtu {MTU} type veth peer name {links.node_link} mtu {MTU} netns {links.fabric_netns}"],
            name,
        )
    await ip([f"link set {links.node_link} master {BRIDGE} up"], links.fabric_netns)
    await ip(
        [
            "link set lo up",
            f"address replace {links.node_ip}/{links.fabric.prefixlen} dev eth0",
            "link set eth0 up",
            f"route replace default via {links.gateway}",
        ],
        name,
    )
    await _forwarding(name)


def uplink_addresses(links: Links) -> tuple[str, str]:
    """The uplink's two ends, (fabric's, host's): the last two usable addresses of the fabric's range."""
    return str(links.fabric[-3]), str(links.fabric[-2])


async def _uplink(links: Links) -> None:
    fabric_end, host_end = uplink_addresses(links)
    if links.uplink_host not in await links_of(""):
        await ip([f"link add {links.uplink_host} type veth peer name {UPLINK} netns {links.fabric_netns}"])
    # Point-to-point addresses out of the fabric's own range: the host routes the whole range to the link.
    await ip(
        [
            f"address replace {host_end} peer {fabric_end}/32 dev {links.uplink_host}",
            f"link set {links.uplink_host} up",
            f"route replace {links.fabric} via {fabric_end} dev {links.uplink_host}",
        ]
    )
    await ip(
        [
            f"address replace {fabric_end} peer {host_end}/32 dev {UPLINK}",
            f"link set {UPLINK} up",
            f"route replace default via {host_end} dev {UPLINK}",
        ],
        links.fabric_netns,
    )
    await _forwarding(links.fabric_netns)
    await check(["nft", "-f", "-"], input=uplink_rules(links).encode())
    await asyncio.to_thread(_host_forwarding)
    await _let_through(links.uplink_host)


def forward_rules(link: str) -> list[list[str]]:
    """What lets the uplink's packets through a host that drops forwarded ones by default (Docker, ufw)."""
    answers = ["-o", link, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"]
    return [["-i", link, "-j", "ACCEPT"], answers]


async def _let_through(link: str) -> None:
    """A table of our own can refuse but not overrule another one's refusal: the rules go into iptables' chain."""
    if find_program("iptables") is None:
        return
    done = await run(["iptables", "-w", "-S", "FORWARD"])
    if done.code != 0 or b"-P FORWARD DROP" not in done.out:
        return
    for rule in forward_rules(link):
        if (await run(["iptables", "-w", "-C", "FORWARD", *rule])).code != 0:
            await check(["iptables", "-w", "-I", "FORWARD", *rule])


async def _take_back(link: str) -> None:
    if find_program("iptables") is None:
        return
    for rule in forward_rules(link):
        while (await run(["iptables", "-w", "-C", "FORWARD", *rule])).code == 0:
            await check(["iptables", "-w", "-D", "FORWARD", *rule])


def _host_forwarding() -> None:
    # The host must forward for the uplink. It is left so at the end: others may have come to rely on it.
    path = Path("/proc/sys/net/ipv4/ip_forward")
    if path.read_text().strip() != "1":
        path.write_text("1")


async def _forwarding(netns: str) -> None:
    inside = NetNamespace.named(netns)
    try:
        await inside.write_sysctl("net.ipv4.ip_forward", "1")
    finally:
        inside.close()


def uplink_rules(links: Links) -> str:
    """The host's own table: outward masqueraded, inward only answers, and nothing for the host itself but answers."""
    table, link = links.host_table, links.uplink_host
    return f"""
table inet {table}
delete table inet {table}
table inet {table} {{
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{link}" accept
    oifname "{link}" ct state established,related accept
    oifname "{link}" drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{link}" ct state established,related accept
    iifname "{link}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {links.fabric} oifname != "{link}" masquerade
  }}
}}
"""


async def down_node(node_netns: str) -> None:
    """Remove a node's namespace; its veth and rules go with it."""
    await _delete_netns(node_netns)


async def down_fabric(fabric_netns: str, uplink_host: str, host_table: str) -> None:
    """Remove the fabric, the uplink and the host's rules; what isn't there is fine."""
    if uplink_host in await links_of(""):
        await ip([f"link delete {uplink_host}"], force=True)
    await _take_back(uplink_host)
    done = await run(["nft", "list", "table", "inet", host_table])
    if done.code == 0:
        await check(["nft", "delete", "table", "inet", host_table])
    await _delete_netns(fabric_netns)


async def _delete_netns(name: str) -> None:
    if (NETNS_FOLDER / name).exists():
        done = await run(["ip", "netns", "delete", name])
        if done.code != 0 and (NETNS_FOLDER / name).exists():
            raise ProgramError(f"network namespace {name}: {done.err.decode(errors='replace').strip()}")
