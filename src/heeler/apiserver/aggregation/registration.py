"""The APIServices of the groups that this server serves itself.

Those of built-in groups are made at the start and brought up to date then; those of custom ones are kept as long as the
group version is served. One that somebody has taken the label `kube-aggregator.kubernetes.io/automanaged` from is his.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from heeler.apiserver.aggregation import services
from heeler.apiserver.aggregation.priorities import CUSTOM, built_in
from heeler.apiserver.aggregation.services import ALWAYS, AUTOMANAGED, GROUP, ON_START, PLURAL, GroupVersion
from heeler.apiserver.cache import Item, encode
from heeler.apiserver.status_writer import write_status
from heeler.base.clock import rfc3339
from heeler.kinds.apiregistration.apiservice import local_condition
from heeler.objects.value import Object, labels_of
from heeler.store.store import KeyNotFound, RevisionMismatch, StoreUnavailable

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer


async def at_start(server: ApiServer) -> None:
    """Make or renew those of built-in groups. (The aggregation layer's own group has none.)"""
    wanted = {
        (kind.group, version): services.local(kind.group, version, built_in(kind.group, version), ON_START)
        for kind in server.kinds
        for version in kind.versions
        if not kind.custom and kind.group != GROUP
    }
    await asyncio.gather(*(_settle(server, one) for one in wanted.values()))
    await server.freshen()


async def _settle(server: ApiServer, wanted: Object) -> None:
    from heeler.apiserver.bootstrap.bootstrap import ensure

    item = server.item(GROUP, PLURAL, "", wanted["metadata"]["name"])
    if item is None:
        await ensure(server, wanted)
    elif labels_of(item.object()).get(AUTOMANAGED) == ON_START and item.object()["spec"] != wanted["spec"]:
        try:
            await _replace(server, item, wanted)
        except (RevisionMismatch, KeyNotFound, StoreUnavailable):
            return  # the next start looks again


def _local(server: ApiServer, wanted: Object) -> Object:
    return services.with_condition(wanted, local_condition(rfc3339(server.clock.time())))


async def _replace(server: ApiServer, item: Item, wanted: Object) -> None:
    new = {**item.fresh(), "spec": wanted["spec"]}
    await server.store.update(item.key, encode(_local(server, new)), item.revision)


def _defined(server: ApiServer) -> set[GroupVersion]:
    """What definitions speak of: another server may serve it already."""
    definitions = server.objects("apiextensions.k8s.io", "customresourcedefinitions")
    return {
        (one["spec"]["group"], version["name"])
        for one in definitions
        for version in one["spec"]["versions"]
        if version.get("served")
    }


async def keep(server: ApiServer) -> None:
    """Bring those of custom groups in step with what is served, and say that local ones are available.

    Raises StoreError.
    """
    from heeler.apiserver.bootstrap.bootstrap import ensure

    own: dict[GroupVersion, bool] = {(k.group, version): k.custom for k in server.kinds for version in k.versions}
    defined = _defined(server)
    cache = server.cache_of(GROUP, PLURAL)
    for item in list(cache.items.values()):
        obj = item.object()
        spec = obj["spec"]
        place = (spec.get("group") or "", spec["version"])
        managed = labels_of(obj).get(AUTOMANAGED) == ALWAYS
        if managed and place not in own and place not in defined:
            await server.store.delete(item.key, item.revision)
        elif managed and own.get(place) and spec != (wanted := services.local(*place, CUSTOM, ALWAYS))["spec"]:
            await _replace(server, item, wanted)
        elif spec.get("service") is None and (services.condition(obj) or {}).get("reason") != "Local":
            await write_status(server, item, _local(server, item.fresh()))
    await server.freshen()
    for (group, version), custom in own.items():
        if custom and server.item(GROUP, PLURAL, "", services.name_of(group, version)) is None:
            await ensure(server, services.local(group, version, CUSTOM, ALWAYS))
