"""`heeler status`, `logs` and `version`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

import click
import orjson

from heeler import __version__
from heeler.cli.flags import fail
from heeler.local import processes
from heeler.local.layout import (
    DEFAULT_NAME,
    Layout,
    LocalError,
    Spec,
    existing,
    known_clusters,
    layout_of,
    no_cluster,
    owner,
)
from heeler.objects.value import Object

output_option = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print."
)


@click.command(epilog="Example: heeler status -o json")
@click.option("--name", default=None, help="Only this cluster.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Its folder.")
@output_option
def status(name: str | None, data_dir: Path | None, output: str) -> None:
    """Show clusters, their processes and nodes. Exit code 3 if the named cluster does not run."""
    who = owner(os.environ)
    try:
        names = [name or DEFAULT_NAME] if name or data_dir else known_clusters(who, os.environ)
        found = [asyncio.run(describe(layout_of(n, data_dir, who, os.environ))) for n in names]
    except LocalError as error:
        fail(str(error))
    clusters = [c for c in found if c is not None]
    if (name or data_dir) and not clusters:
        wanted = name or DEFAULT_NAME
        fail(no_cluster(wanted, layout_of(wanted, data_dir, who, os.environ), who, os.environ))
    if output == "json":
        click.echo(orjson.dumps({"clusters": clusters}, option=orjson.OPT_INDENT_2).decode())
    elif not clusters:
        click.echo("No clusters. Make one: heeler up")
    else:
        for cluster in clusters:
            _print(cluster)
    if (name or data_dir) and not clusters[0]["running"]:
        raise SystemExit(3)


async def describe(layout: Layout) -> Object | None:
    """What is to be said of a cluster, or None if there is none."""
    from heeler.local.layout import real_names
    from heeler.local.up import CONTROL_PLANE, SUPERVISOR, node_component, running_nodes

    spec = layout.load()
    if spec is None:
        return None
    pid = processes.running_pid(layout, CONTROL_PLANE)
    components: list[Object] = [{"name": CONTROL_PLANE, "pid": pid, "memoryBytes": _memory(pid)}]
    for component in sorted({*running_nodes(layout), *map(node_component, real_names(spec))}):
        number = processes.running_pid(layout, component)
        components.append({"name": component, "pid": number, "memoryBytes": _memory(number)})
    number = processes.running_pid(layout, SUPERVISOR)
    components.append({"name": SUPERVISOR, "pid": number, "memoryBytes": _memory(number)})
    out: Object = {
        "name": spec.name,
        "running": pid is not None,
        "server": f"https://127.0.0.1:{spec.port}" if spec.port else "",
        "context": spec.context,
        "kubeconfig": spec.kubeconfig,
        "dataDir": str(layout.root),
        "components": components if pid is not None else [c for c in components if c["pid"]],
        "nodes": [],
        "published": published_services(layout, spec) if pid is not None else [],
        "ingress": gateway(layout, spec) if pid is not None else None,
    }
    if pid is not None:
        try:
            out["nodes"] = await _nodes(layout, spec)
        except (OSError, TimeoutError) as error:
            out["problem"] = f"the API server does not answer: {error or 'time-out'}"
    return out


def published_services(layout: Layout, spec: Spec) -> list[Object]:
    """Services with a port on this machine's loopback: namespace, service, port (name) and address."""
    from heeler.local.layout import real_names
    from heeler.local.node import options
    from heeler.network.publish import published

    found: list[Object] = []
    for node in real_names(spec):
        with contextlib.suppress(OSError):
            found += [
                one for one in published(options(layout, spec, node).state / "published.json") if one not in found
            ]
    return found


def gateway(layout: Layout, spec: Spec) -> Object | None:
    """Where Ingresses are to be found: {"http": ..., "https": ...}; None where there is none."""
    from heeler.local.layout import real_names
    from heeler.local.node import options
    from heeler.network.gateway import listening

    for node in real_names(spec)[:1]:
        http, https = listening(options(layout, spec, node).state / "ingress.json")
        if http:
            return {"http": f"http://127.0.0.1:{http}", "https": f"https://127.0.0.1:{https}"}
    return None


async def _nodes(layout: Layout, spec: Spec) -> list[Object]:
    from heeler.client.https import HttpsClient
    from heeler.local import certificates
    from heeler.local.up import NODES, is_ready

    client = HttpsClient(certificates.admin_access(layout, spec))
    try:
        async with asyncio.timeout(5):
            found = await client.list(NODES)
    finally:
        await client.close()
    return [{"name": n["metadata"]["name"], "ready": is_ready(n)} for n in found.items]


def _memory(pid: int | None) -> int | None:
    """Resident bytes."""
    if pid is None:
        return None
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _print(cluster: dict[str, Any]) -> None:
    state = "running" if cluster["running"] else "stopped"
    click.echo(f"{cluster['name']}: {state}  {cluster['server']}  (context {cluster['context']})")
    for component in cluster["components"]:
        if component["pid"] is None:
            click.echo(f"  {component['name']:<24} does not run: heeler up --name {cluster['name']} starts it")
            continue
        memory = f"{component['memoryBytes'] / 2**20:.0f} MiB" if component["memoryBytes"] else ""
        click.echo(f"  {component['name']:<24} pid {component['pid']:<8} {memory}")
    for node in cluster["nodes"]:
        click.echo(f"  node {node['name']:<19} {'Ready' if node['ready'] else 'NotReady'}")
    for service in cluster["published"]:
        name = f"{service['namespace']}/{service.get('service') or service.get('pod')}"
        port = f" ({service['port']})" if service.get("port") else ""
        click.echo(f"  {'service' if service.get('service') else 'pod':<7} {name:<16} {service['address']}{port}")
    if cluster.get("ingress"):
        click.echo(f"  ingress {'':<16} {cluster['ingress']['http']} {cluster['ingress']['https']}")
    if cluster.get("problem"):
        click.echo(f"  {cluster['problem']}")


@click.command(epilog="Example: heeler logs control-plane -f")
@click.argument("component", required=False, default="")
@click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
@click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Its folder.")
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows.")
@click.option("--tail", default=200, show_default=True, type=click.IntRange(0), help="Lines from the end.")
def logs(component: str, name: str, data_dir: Path | None, follow: bool, tail: int) -> None:
    """Show the log of a component (control-plane, node-NAME); without one, name those that there are."""
    try:
        layout, _ = existing(name, data_dir, owner(os.environ), os.environ)
    except LocalError as error:
        fail(str(error))
    there = sorted(p.stem for p in layout.logs.glob("*.log")) if layout.logs.exists() else []
    if not component:
        click.echo("\n".join(there) or "No logs.")
        return
    if component not in there:
        fail(f'no log of "{component}": there are {", ".join(there) or "none"}')
    words = ["tail", "-n", str(tail), *(["-F"] if follow else []), str(layout.log(component))]
    try:
        raise SystemExit(subprocess.run(words, check=False).returncode)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


@click.command(epilog="Example: heeler version -o json")
@output_option
def version(output: str) -> None:
    """Print Heeler's version and that of the API it serves."""
    from heeler.apiserver.paths import VERSION

    if output == "json":
        click.echo(orjson.dumps({"heeler": __version__, "kubernetes": VERSION["gitVersion"]}).decode())
    else:
        click.echo(f"heeler {__version__} (Kubernetes {VERSION['gitVersion']})")
