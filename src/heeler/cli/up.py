"""`heeler up`, `down`, `delete`, and the hidden command that a control plane's process runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.cli.flags import fail, set_up_logging
from heeler.client import kubeconfig
from heeler.local import processes
from heeler.local.layout import (
    DEFAULT_NAME,
    BrokenSpec,
    Layout,
    LocalError,
    Owner,
    Spec,
    changed,
    layout_of,
    no_cluster,
    one_at_a_time,
    owner,
)

name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
data_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="The cluster's folder [~/.local/share/heeler/clusters/NAME].",
)
CONFIG_KEYS = (
    "name",
    "nodes",
    "simulatedNodes",
    "dataDir",
    "kubeconfig",
    "port",
    "serviceCidr",
    "podCidr",
    "uplink",
    "ingressHttpPort",
    "ingressHttpsPort",
    "registries",
    "schedulerConfig",
)


def report(name: str, seconds: float, remark: str) -> None:
    """One line a stage."""
    click.echo(f"  {name:<22}{seconds:6.2f} s  {remark}".rstrip())


@click.command(
    epilog="Example: heeler up --name dev --simulated-nodes 3\n\nA FILE of --config is YAML with the keys "
    + ", ".join(CONFIG_KEYS)
)
@name_option
@click.option("--nodes", type=click.IntRange(0, 20), default=None, help="Real nodes (containerd; need root). [1]")
@click.option(
    "--simulated-nodes",
    type=click.IntRange(0, 5000),
    default=None,
    help="Nodes that only pretend to run pods. With it --nodes is 0 unless given.",
)
@data_option
@click.option(
    "--kubeconfig",
    "kubeconfig_file",
    type=click.Path(path_type=Path),
    default=None,
    help="File to merge the access into [$KUBECONFIG or ~/.kube/config].",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=None, help="Port of the API server [the first free one from 6443]."
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    default=None,
    help="Read these settings from a YAML file.",
)
@click.option("--uplink/--no-uplink", default=None, help="Whether pods may reach the world outside [yes].")
@click.option(
    "--registry-mirror",
    "mirrors",
    multiple=True,
    metavar="HOST=URL",
    help="Ask this URL for a registry's images first; may be given several times. Host's 127.0.0.1 works.",
)
@click.option(
    "--registry-ca", "authorities", multiple=True, metavar="HOST=FILE", help="PEM file of a registry's authority."
)
@click.option("--ingress-http-port", type=click.IntRange(1, 65535), default=None, help="Port of Ingresses. [80]")
@click.option(
    "--ingress-https-port", type=click.IntRange(1, 65535), default=None, help="Port of Ingresses with TLS. [443]"
)
@click.option(
    "--scheduler-config",
    type=click.Path(path_type=Path),
    default=None,
    help="A KubeSchedulerConfiguration. It is kept with the cluster; its clientConnection and leaderElection mean nothing.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the nodes are ready.")
@click.option("--foreground", is_flag=True, help="Stay, and stop the cluster at Ctrl-C.")
def up(**flags: Any) -> None:
    """Start a cluster, or bring a running one to what the flags say. Flags that aren't given stay as they were."""
    try:
        _up(_with_config(flags))
    except LocalError as error:
        fail(str(error))


def _with_config(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags with what the --config file says for those that aren't given. Raises LocalError."""
    path = flags.pop("config_file")
    if path is None:
        return flags
    from heeler.objects import yaml_text

    try:
        value, _ = yaml_text.load(path.read_bytes())
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
    except yaml_text.YamlError as error:
        raise LocalError(f"{path} is no YAML: {error}") from error
    if not isinstance(value, dict):
        raise LocalError(f"{path} must hold settings: {', '.join(CONFIG_KEYS)}")
    unknown = sorted(set(value) - set(CONFIG_KEYS))
    if unknown:
        raise LocalError(f"{path}: unknown setting {unknown[0]}: there are {', '.join(CONFIG_KEYS)}")
    checks = {
        "name": str,
        "nodes": int,
        "simulatedNodes": int,
        "dataDir": str,
        "kubeconfig": str,
        "port": int,
        "uplink": bool,
        "ingressHttpPort": int,
        "ingressHttpsPort": int,
        "schedulerConfig": str,
    }
    for key, wanted in checks.items():
        if key in value and (not isinstance(value[key], wanted) or (wanted is int and isinstance(value[key], bool))):
            raise LocalError(
                f"{path}: {key} must be {'text' if wanted is str else 'a number' if wanted is int else 'true or false'}"
            )
    for flag, key in (
        ("nodes", "nodes"),
        ("simulated_nodes", "simulatedNodes"),
        ("port", "port"),
        ("uplink", "uplink"),
        ("ingress_http_port", "ingressHttpPort"),
        ("ingress_https_port", "ingressHttpsPort"),
    ):
        if flags[flag] is None:
            flags[flag] = value.get(key)
    if flags["name"] == DEFAULT_NAME:
        flags["name"] = value.get("name", DEFAULT_NAME)
    for flag, key in (
        ("data_dir", "dataDir"),
        ("kubeconfig_file", "kubeconfig"),
        ("scheduler_config", "schedulerConfig"),
    ):
        if flags[flag] is None and value.get(key):
            flags[flag] = Path(value[key])
    flags["registries"] = value.get("registries")
    for flag, key in (("service_cidr", "serviceCidr"), ("pod_cidr", "podCidr")):
        flags[flag] = value.get(key)
        if flags[flag] is not None:
            _check_network(flags[flag], f"{path}: {key}")
    return flags


def _scheduler_config(flags: dict[str, Any]) -> str | None:
    """What the scheduler's configuration says, once it is found to be right; None: nothing said. Raises LocalError."""
    path = flags.get("scheduler_config")
    if path is None:
        return None
    from heeler.scheduler.configuration.given import checked, text_of

    try:
        text = text_of(path)
        checked(text)
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise LocalError(f"{path}: {error}") from error
    return text


def _registries(flags: dict[str, Any], old: Mapping[str, Any]) -> dict[str, Any] | None:
    """The registries' settings: what the file says (else what was said before), changed by flags; None: nothing said.

    Raises LocalError."""
    from heeler.kubelet import registries

    told = flags.get("registries")
    mirrors, authorities = flags.get("mirrors") or (), flags.get("authorities") or ()
    if told is None and not mirrors and not authorities:
        return None
    try:
        out = registries.plain(registries.registries(told if told is not None else dict(old), "registries"))
        fresh: dict[str, list[str]] = {}
        for text in mirrors:
            host, _, url = text.partition("=")
            fresh.setdefault(host, []).append(url)
        for host, urls in fresh.items():
            out.setdefault(host, {})["mirrors"] = urls
        for text in authorities:
            host, _, file = text.partition("=")
            out.setdefault(host, {})["ca"] = file
        return registries.plain(registries.registries(out, "registries"))
    except ValueError as error:
        raise LocalError(str(error)) from error


#: Addresses that a cluster can do with: a /24 for each node's pods, and some for services.
_LEAST_PREFIX = 24


def _check_network(text: object, where: str) -> None:
    import ipaddress

    try:
        network = ipaddress.IPv4Network(text if isinstance(text, str) else "")
    except ValueError as error:
        raise LocalError(f"{where} must be an IPv4 network like 10.96.0.0/16: {error}") from error
    if network.prefixlen > _LEAST_PREFIX:
        raise LocalError(f"{where}: {network} is too small: take a /{_LEAST_PREFIX} at least")


def _check_networks(spec: Spec, old: Spec | None) -> None:
    """Networks may not overlap, nor change once there are objects with their addresses. Raises LocalError."""
    import ipaddress

    if ipaddress.ip_network(spec.service_cidr).overlaps(ipaddress.ip_network(spec.pod_cidr)):
        raise LocalError(f"serviceCidr {spec.service_cidr} and podCidr {spec.pod_cidr} overlap")
    for key, now, before in (
        ("serviceCidr", spec.service_cidr, old and old.service_cidr),
        ("podCidr", spec.pod_cidr, old and old.pod_cidr),
    ):
        if before and before != now:
            raise LocalError(f"{key} is {before} for good: delete the cluster to choose another")


def _up(flags: dict[str, Any]) -> None:
    who = owner(os.environ)
    layout = layout_of(flags["name"], flags["data_dir"], who, os.environ)
    with one_at_a_time(who):
        spec = _start(flags, layout, who)
    click.echo(f"Try:  kubectl --context {spec.context} get nodes")
    if flags["foreground"]:
        _stay(layout, flags, who)


def _start(flags: dict[str, Any], layout: Layout, who: Owner) -> Spec:
    from heeler.local.up import Up

    old = layout.load()
    spec = old or Spec(name=flags["name"], suffix=_suffix(layout, flags["data_dir"]))
    nodes, simulated = flags["nodes"], flags["simulated_nodes"]
    if nodes is None and simulated is not None and old is None:
        nodes = 0
    if (
        old is not None
        and flags["port"]
        and flags["port"] != old.port
        and processes.running_pid(layout, "control-plane")
    ):
        raise LocalError(
            f"the cluster runs on port {old.port}: `heeler down --name {spec.name}` first, then choose another"
        )
    path = flags["kubeconfig_file"] or (Path(spec.kubeconfig) if spec.kubeconfig else _kubeconfig_path(who.home))
    configuration = _scheduler_config(flags)
    restart = old is not None and (
        (simulated is not None and simulated != old.simulated_nodes)
        or (configuration is not None and configuration != old.scheduler_config)
    )
    spec = changed(
        spec,
        nodes=nodes,
        simulated_nodes=simulated,
        port=flags["port"],
        uplink=flags["uplink"],
        ingress_http_port=flags["ingress_http_port"],
        ingress_https_port=flags["ingress_https_port"],
        service_cidr=flags.get("service_cidr"),
        pod_cidr=flags.get("pod_cidr"),
        registries=_registries(flags, spec.registries),
        kubeconfig=str(Path(path).absolute()),
        scheduler_config=configuration,
    )
    _check_networks(spec, old)
    click.echo(f'Cluster "{spec.name}"')
    clock = SystemClock()
    work = Up(layout, spec, who, clock, report, Path(path).absolute() if flags.get("merge", True) else None)

    async def run() -> Spec:
        if restart:
            await processes.stop(layout, "control-plane", clock)
        return await work.run(wait=flags["wait"])

    return asyncio.run(run())


def _suffix(layout: Layout, data_dir: Path | None) -> str:
    """A mark of the folder, for a cluster that isn't in the usual place."""
    import hashlib

    return hashlib.sha256(str(layout.root).encode()).hexdigest()[:6] if data_dir else ""


def _kubeconfig_path(home: Path) -> Path:
    environment = {"KUBECONFIG": os.environ.get("KUBECONFIG", ""), "HOME": str(home)}
    return kubeconfig.default_path(environment)


def _stay(layout: Layout, flags: dict[str, Any], who: Owner) -> None:
    """Until Ctrl-C or SIGTERM, which stop the cluster; what ends meanwhile is started again."""
    from heeler.local.prerequisites import check_node_possible
    from heeler.local.supervise import supervise
    from heeler.local.up import down as stop_all
    from heeler.local.up import running_nodes

    def restart(gone: list[str]) -> None:
        click.echo(f"{', '.join(gone)} ended: starting again", err=True)
        with one_at_a_time(who):
            _start({**flags, "wait": False, "scheduler_config": None}, layout, who)  # the cluster keeps its own

    click.echo("Running; Ctrl-C stops the cluster.")
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        supervise(layout, restart, lambda seconds: asyncio.run(SystemClock().sleep(seconds)))
    except KeyboardInterrupt:
        sudo = check_node_possible() if running_nodes(layout) else ()
        asyncio.run(stop_all(layout, SystemClock(), report, sudo))


@click.command(hidden=True)
@click.option("--cluster-dir", type=click.Path(path_type=Path), required=True)
def revive(cluster_dir: Path) -> None:
    """Start again what has ended of a cluster, unless it was stopped (called by its supervisor)."""
    from heeler.base.files import shorten
    from heeler.local.supervise import gone
    from heeler.local.up import SUPERVISOR
    from heeler.local.upkeep import MAX_LOG

    who, layout = owner(os.environ), Layout(cluster_dir)
    try:
        with one_at_a_time(who):
            if not gone(layout):
                return
            spec = layout.load()
            if spec is None:
                return
            shorten(layout.log(SUPERVISOR), MAX_LOG)
            flags = {**dict.fromkeys(("nodes", "simulated_nodes", "port", "uplink", "kubeconfig_file"))}
            flags |= dict.fromkeys(("ingress_http_port", "ingress_https_port", "data_dir"))
            _start({**flags, "name": spec.name, "wait": False, "merge": False}, layout, who)
    except (LocalError, OSError) as error:
        fail(str(error))


def _existing(name: str, data_dir: Path | None, *, broken: bool = False) -> tuple[Layout, Spec]:
    """A cluster that is there; with `broken`, also one whose specification can't be read. Raises LocalError."""
    layout = layout_of(name, data_dir, owner(os.environ), os.environ)
    try:
        spec = layout.load()
    except BrokenSpec:
        if not broken:
            raise
        nodes = layout.root / "nodes"
        count = len(list(nodes.iterdir())) if nodes.is_dir() else 0
        path = str(_kubeconfig_path(owner(os.environ).home))
        spec = Spec(name=name, nodes=count, suffix=_suffix(layout, data_dir), kubeconfig=path)
    if spec is None:
        raise LocalError(no_cluster(name, layout, owner(os.environ), os.environ))
    return layout, spec


def _sudo_for(layout: Layout, spec: Spec) -> tuple[str, ...]:
    """How to touch what is root's; () when there is nothing. Raises LocalError."""
    if os.geteuid() == 0:
        return ()
    nodes = layout.root / "nodes"
    if not spec.nodes and not nodes.exists():
        return ()
    can = (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    )
    if can:
        return ("sudo", "-n")
    raise LocalError(f"the cluster has real nodes, which belong to root: call `sudo heeler {' '.join(sys.argv[1:])}`")


@click.command(epilog="Example: heeler down --name dev")
@name_option
@data_option
def down(name: str, data_dir: Path | None) -> None:
    """Stop all of a cluster; its data stays, `heeler up` brings it back."""
    from heeler.local.up import down as stop_all

    try:
        layout, spec = _existing(name, data_dir)
        sudo = _sudo_for(layout, spec)
        with one_at_a_time(owner(os.environ)):
            ran = asyncio.run(stop_all(layout, SystemClock(), report, sudo))
        if not ran:
            click.echo(f'Cluster "{name}" does not run.')
    except LocalError as error:
        fail(str(error))


@click.command(epilog="Example: heeler delete --name dev")
@name_option
@data_option
def delete(name: str, data_dir: Path | None) -> None:
    """Delete a cluster: processes, containers, network, data and its kubeconfig entries. Nothing is left."""
    from heeler.local.up import down as stop_all

    try:
        layout, spec = _existing(name, data_dir, broken=True)
        sudo = _sudo_for(layout, spec)
        with one_at_a_time(owner(os.environ)):
            asyncio.run(stop_all(layout, SystemClock(), report, sudo))
            if spec.nodes or (layout.root / "nodes").exists():
                _remove_nodes(layout, spec, sudo)
            if spec.kubeconfig:
                kubeconfig.remove_from(Path(spec.kubeconfig), spec.context)
            _remove_files(layout)
        click.echo(f'Cluster "{name}" is deleted.')
    except (LocalError, kubeconfig.KubeconfigError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"could not remove all of the cluster: {error}")


def _remove_nodes(layout: Layout, spec: Spec, sudo: tuple[str, ...]) -> None:
    """Take away what is root's, in a process that is root."""
    if sudo:
        words = processes.command("node-remove", "--cluster-dir", str(layout.root))
        done = subprocess.run([*sudo, *words], check=False, capture_output=True, text=True)
        if done.returncode:
            raise LocalError(f"the nodes could not be removed: {done.stderr.strip() or done.stdout.strip()}")
        return
    from heeler.local.node import remove_nodes

    asyncio.run(remove_nodes(layout, spec))


def _remove_files(layout: Layout) -> None:
    for entry in ("cluster.json", "admin.kubeconfig", "exposed.json", "registries.json"):
        (layout.root / entry).unlink(missing_ok=True)
    copies = [path.name for path in layout.root.glob("*before-layout-*")]
    for folder in ("pki", "store", "logs", "run", "nodes", "images", *copies):
        if (layout.root / folder).exists():
            shutil.rmtree(layout.root / folder)
    try:
        layout.root.rmdir()
    except OSError:
        pass  # somebody else's files are in it: they stay


@click.command(hidden=True)
@click.option("--data-dir", type=click.Path(path_type=Path), required=True)
@click.option("-v", "--verbose", count=True)
@click.argument("component")
def control_plane(data_dir: Path, verbose: int, component: str) -> None:
    """The process of a control plane (started by `heeler up`)."""
    set_up_logging(max(verbose, 1))
    layout = Layout(data_dir)
    try:
        spec = layout.load()
        if spec is None:
            raise LocalError(f"no cluster in {data_dir}")
        processes.note_pid(layout, component)
        import uvloop

        from heeler.base import memory

        memory.for_servers()
        uvloop.run(_serve(layout, spec, component))
    except (OSError, ValueError, LocalError) as error:
        processes.say_failed(str(error))
        fail(str(error))
    except Exception as error:
        processes.say_failed(f"{type(error).__name__}: {error}")
        raise


async def _serve(layout: Layout, spec: Spec, component: str) -> None:
    from heeler import cluster
    from heeler.local.upkeep import keep, renew

    sys.setswitchinterval(0.0005)  # the store's thread must get the interpreter in time (ARCHITECTURE.md)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    plane = cluster.control_plane(layout, spec, durable=True, clock=SystemClock(), random=SystemRandom())
    async with plane as found:
        processes.say_ready(str(found.spec.port))
        upkeep = asyncio.ensure_future(keep([layout.log(component)], lambda: renew(layout, found), SystemClock()))
        try:
            await stop.wait()
        finally:
            upkeep.cancel()
