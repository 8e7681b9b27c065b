"""The flags of `heeler controller-manager` that say how controllers work, as a table; names and defaults are upstream's.

https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from heeler.cli.flags import duration, switch

if TYPE_CHECKING:
    from heeler.controllers.loop import Settings


class Flag(NamedTuple):
    """`field` of `controllers.loop.Settings` (or of its `eviction`), as --field-in-this-form. No value: its default."""

    field: str
    type: Callable[[str], Any]
    help: str


FLAGS = (
    Flag("node_monitor_grace_period", duration, "A node that says nothing for this long is unknown."),
    Flag("node_startup_grace_period", duration, "As long a new node may say nothing at all."),
    Flag("node_monitor_period", duration, "How often nodes are looked at."),
    Flag("pvclaimbinder_sync_period", duration, "How often claims that wait for a volume are looked at again."),
    Flag("horizontal_pod_autoscaler_sync_period", duration, "How often autoscalers decide."),
    Flag("horizontal_pod_autoscaler_tolerance", float, "How far a metric may be off its target, as a share of it."),
    Flag("horizontal_pod_autoscaler_downscale_stabilization", duration, "How far back they look before scaling down."),
    Flag(
        "horizontal_pod_autoscaler_cpu_initialization_period",
        duration,
        "So long the processor use of a new pod may not count.",
    ),
    Flag("horizontal_pod_autoscaler_initial_readiness_delay", duration, "So long a new pod may become ready at first."),
    Flag("cluster_signing_duration", duration, "How long certificates are valid at most."),
    Flag(
        "legacy_service_account_token_clean_up_period", duration, "Tokens in Secrets go so long after their last use."
    ),
    Flag("terminated_pod_gc_threshold", int, "Finished pods that are kept in the whole cluster."),
)
#: Fields of `Settings.eviction`.
EVICTION = (
    Flag("node_eviction_rate", float, "Dead nodes a second whose pods are driven off, of each zone."),
    Flag("secondary_node_eviction_rate", float, "The same of a large zone that is mostly dead."),
    Flag("large_cluster_size_threshold", int, "From more nodes on a zone is large; in a smaller one none is given up."),
    Flag("unhealthy_zone_threshold", float, "The share of dead nodes from which a zone counts as mostly dead."),
)
_MASKS = (("node_cidr_mask_size", 0), ("node_cidr_mask_size_ipv4", 4), ("node_cidr_mask_size_ipv6", 6))


def setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All flags of the tables, and one for each controller's number of workers; the command gets them by name."""
    from heeler.controllers.list import CONTROLLERS

    rows = [*FLAGS, *EVICTION]
    rows += [Flag(name, int, "Bits that a node's range of pod addresses is wide.") for name, _ in _MASKS]
    rows += [
        Flag("cluster_cidr", str, "Range of pod addresses; two, of both versions of IP, with a comma."),
        Flag("service_cluster_ip_range", str, "Range of Services' addresses, which nodes are not given."),
    ]
    for row in reversed(rows):
        flag = f"--{row.field.replace('_', '-')}"
        command = click.option(flag, row.field, type=row.type, default=None, help=row.help)(command)
    for entry in reversed(CONTROLLERS):
        if entry.flag:
            text = f"Keys that the {entry.name} works on at once."
            command = click.option(
                f"--{entry.flag}",
                _word(entry.flag),
                type=click.IntRange(min=1),
                default=entry.workers,
                show_default=True,
                help=text,
            )(command)
    allocate = switch("--allocate-node-cidrs", help="Give each node a range of pod addresses out of --cluster-cidr.")
    return cast("Callable[..., Any]", allocate(command))


def _word(flag: str) -> str:
    return flag.replace("-", "_")


def settings_of(given: dict[str, Any], settings: Settings) -> Settings:
    """The settings with what the flags say. Raises ValueError for ranges that can't be cut."""
    from heeler.controllers.list import CONTROLLERS
    from heeler.controllers.node_ipam import sets_of

    def said(rows: tuple[Flag, ...]) -> dict[str, Any]:
        return {row.field: given[row.field] for row in rows if given[row.field] is not None}

    syncs = {entry.name: given[_word(entry.flag)] for entry in CONTROLLERS if entry.flag}
    cidrs = tuple(part.strip() for part in (given["cluster_cidr"] or "").split(",") if part.strip())
    services = tuple(part.strip() for part in (given["service_cluster_ip_range"] or "").split(",") if part.strip())
    masks: dict[int, int] = {}
    for name, version in _MASKS:
        if given[name] is not None:
            masks.update({version: given[name]} if version else dict.fromkeys((4, 6), given[name]))
    if given["allocate_node_cidrs"]:
        sets_of(cidrs, masks)
    return replace(
        settings,
        **said(FLAGS),
        eviction=replace(settings.eviction, **said(EVICTION)),
        syncs=syncs,
        allocate_node_cidrs=given["allocate_node_cidrs"],
        cluster_cidrs=cidrs,
        service_cidrs=services,
        node_cidr_mask_sizes=masks,
    )
