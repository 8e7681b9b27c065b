"""`heeler expose`: ports of Services and pods on this machine's loopback, added to a cluster that runs, and remembered."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
import orjson

from heeler.cli.flags import fail
from heeler.cli.status import output_option, published_services
from heeler.local.layout import DEFAULT_NAME, Layout, LocalError, Spec, existing, owner
from heeler.network import expose as remembered
from heeler.network.expose import ExposeError, Exposure
from heeler.objects.value import GroupVersionResource, Object

#: Seconds until the node has opened a port.
OPEN_SECONDS = 10.0
RESOURCES = {"Service": GroupVersionResource("", "v1", "services"), "Pod": GroupVersionResource("", "v1", "pods")}


@click.command(
    epilog="Example: heeler expose svc/web 8080:80\n\nThen http://127.0.0.1:8080/ is the Service, also after a restart. "
    "`heeler expose` lists, `heeler expose --remove svc/web` ends it."
)
@click.argument("target", required=False, default="")
@click.argument("ports", nargs=-1)
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Its folder.")
@click.option("-n", "--namespace", default="default", show_default=True, help="The Service's or pod's namespace.")
@click.option("--remove", is_flag=True, help="Stop exposing the target, or only the ports given.")
@output_option
def expose(
    target: str, ports: tuple[str, ...], name: str, data_dir: Path | None, namespace: str, remove: bool, output: str
) -> None:
    """Expose svc/NAME or pod/NAME on 127.0.0.1, each port as [LOCALPORT:]PORT; without a target, list what is exposed.

    Without LOCALPORT the same number is taken if it is free, else another one. Without PORT: the Service's ports.
    """
    try:
        layout, spec = existing(name, data_dir, owner(os.environ), os.environ)
        if not spec.nodes:
            raise LocalError(f'the cluster "{name}" has no real node: nothing in it can be reached')
        if not target:
            if ports or remove:
                raise LocalError("name a target: svc/NAME or pod/NAME")
            changed = remembered.load(layout.root)
        elif remove:
            changed = _remove(layout, target, ports, namespace)
        else:
            changed = asyncio.run(_add(layout, spec, target, ports, namespace))
        _print(changed, layout, spec, output, removed=remove)
    except (LocalError, ExposeError, OSError) as error:
        fail(str(error))


def _remove(layout: Layout, target: str, ports: tuple[str, ...], namespace: str) -> list[Exposure]:
    kind, name = remembered.parse_target(target)
    wanted = [remembered.parse_ports(text)[1] for text in ports]
    have = remembered.load(layout.root)
    gone = [
        e for e in have if (e.kind, e.namespace, e.name) == (kind, namespace, name) and (not wanted or e.port in wanted)
    ]
    if not gone:
        raise LocalError(f"{target} is not exposed: `heeler expose` lists what is")
    _save(layout, [e for e in have if e not in gone])
    return gone


def _save(layout: Layout, exposures: list[Exposure]) -> None:
    remembered.save(layout.root, exposures)
    layout.hand_over(owner(os.environ))


async def _add(layout: Layout, spec: Spec, target: str, ports: tuple[str, ...], namespace: str) -> list[Exposure]:
    kind, name = remembered.parse_target(target)
    known = _ports(await _object(layout, spec, kind, name, namespace), kind)
    if not ports and not known:
        raise LocalError(f"{target} names no ports: say which one, like 8080:80")
    have = remembered.load(layout.root)
    new = []
    for local, port in [remembered.parse_ports(text) for text in ports] or [
        (0, port) for port in known if port.isdigit()
    ]:
        if port not in known and not (kind == "Pod" and port.isdigit()):
            raise LocalError(f"{target} has no port {port}: there are {', '.join(known) or 'none'}")
        before = next((e for e in have if (e.kind, e.namespace, e.name, e.port) == (kind, namespace, name, port)), None)
        number = known.get(port) or int(port)
        if before is not None and local in (0, before.local_port):
            new.append(before)
            continue
        if local and not _is_free(local):
            raise LocalError(f"local port {local} is in use: choose another, or leave it out for a free one")
        taken = {e.local_port for e in have}
        chosen = local or (number if number not in taken and _is_free(number) else _free(taken))
        new.append(Exposure(kind, namespace, name, port, chosen))
        have = remembered.added(have, new[-1])
    _save(layout, have)
    return new


def _is_free(port: int) -> bool:
    """Whether the node's agent could have the port: it is root, ports below 1024 are nothing special to it."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def _free(taken: set[int]) -> int:
    import socket

    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            number = int(probe.getsockname()[1])
        if number not in taken:
            return number


async def _object(layout: Layout, spec: Spec, kind: str, name: str, namespace: str) -> Object:
    """The Service or pod as it is now. Raises LocalError."""
    from heeler.client.https import HttpsClient
    from heeler.local import certificates
    from heeler.objects.status import StatusError

    client = HttpsClient(certificates.admin_access(layout, spec))
    try:
        async with asyncio.timeout(5):
            found = await client.get(RESOURCES[kind], name, namespace)
    except StatusError as error:
        raise LocalError(f"{error.message} in namespace {namespace}") from error
    except (OSError, TimeoutError) as error:
        raise LocalError(f'the cluster "{spec.name}" does not answer: heeler up --name {spec.name}') from error
    finally:
        await client.close()
    if kind == "Service" and (found.get("spec") or {}).get("clusterIP") in (None, "", "None"):
        raise LocalError(f"svc/{name} has no address of its own (headless, ExternalName): expose one of its pods")
    return found


def _ports(found: Object, kind: str) -> dict[str, int]:
    """What may be named as a port -> its number; numbers first."""
    spec = found.get("spec") or {}
    if kind == "Service":
        pairs = [(p.get("name"), int(p["port"])) for p in spec.get("ports") or []]
    else:
        every = [p for c in spec.get("containers") or [] for p in c.get("ports") or []]
        pairs = [(p.get("name"), int(p["containerPort"])) for p in every]
    return {**{str(n): n for _, n in pairs}, **{str(name): n for name, n in pairs if name}}


def _print(exposures: list[Exposure], layout: Layout, spec: Spec, output: str, *, removed: bool) -> None:
    found = [] if removed else asyncio.run(_opened(exposures, layout, spec))
    if output == "json":
        entries = [
            {
                "kind": e.kind,
                "namespace": e.namespace,
                "name": e.name,
                "port": e.port,
                "localPort": e.local_port,
                "address": "" if removed else found[i],
            }
            for i, e in enumerate(exposures)
        ]
        click.echo(orjson.dumps({"removed" if removed else "exposed": entries}, option=orjson.OPT_INDENT_2).decode())
        return
    if not exposures:
        click.echo("Nothing is exposed. Example: heeler expose svc/web 8080:80")
    for index, one in enumerate(exposures):
        name = f"{one.shown}:{one.port}" + (f" -n {one.namespace}" if one.namespace != "default" else "")
        if removed:
            click.echo(f"{name} is not exposed any more")
        elif found[index]:
            click.echo(f"{found[index]} -> {name}")
        else:
            click.echo(f"127.0.0.1:{one.local_port} -> {name} (remembered; not open now)")


async def _opened(exposures: list[Exposure], layout: Layout, spec: Spec) -> list[str]:
    """Where each is open, "" where it isn't; waits a while where a node runs."""
    from heeler.base.clock import SystemClock
    from heeler.local.up import running_nodes

    clock = SystemClock()
    end = clock.monotonic() + (OPEN_SECONDS if running_nodes(layout) else 0.0)
    while True:
        entries = [e for e in published_services(layout, spec) if e.get("reason") == "expose"]
        where = {(e["namespace"], e.get("service") or e.get("pod"), e["wanted"]): e["address"] for e in entries}
        found = [where.get((e.namespace, e.name, e.local_port), "") for e in exposures]
        if all(found) or clock.monotonic() >= end:
            return found
        await clock.sleep(0.05)
