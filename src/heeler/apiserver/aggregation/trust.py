"""What other API servers need to know whom to believe: the ConfigMap extension-apiserver-authentication in kube-system.

They read it through the role `extension-apiserver-authentication-reader`: which authority signs clients' certificates, which
one signs front proxies' (ours), and by which headers a front proxy tells who is asking. Several servers of a cluster add
their authorities to what is there. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#kubernetes-apiserver-client-authentication
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from heeler.apiserver.aggregation.transport import EXTRA, GROUP, UID, USER
from heeler.apiserver.cache import encode
from heeler.base import pki
from heeler.store.store import KeyNotFound, RevisionMismatch, StoreUnavailable

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer

log = logging.getLogger(__name__)

NAMESPACE, NAME = "kube-system", "extension-apiserver-authentication"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
#: Authorities that are kept of one kind.
MAX_AUTHORITIES = 64


@dataclass(frozen=True, slots=True)
class Trust:
    """PEM of the authorities, "" for none; `names`: the common names that a front proxy may have (none: any)."""

    clients: str = ""
    front_proxies: str = ""
    names: tuple[str, ...] = ()

    def data(self) -> dict[str, str]:
        """The ConfigMap's content; lists are JSON in it."""
        out = {"client-ca-file": self.clients} if self.clients else {}
        if not self.front_proxies:
            return out
        lists = {
            "requestheader-allowed-names": list(self.names),
            "requestheader-extra-headers-prefix": [EXTRA],
            "requestheader-group-headers": [GROUP],
            "requestheader-uid-headers": [UID],
            "requestheader-username-headers": [USER],
        }
        out |= {name: orjson.dumps(value).decode() for name, value in lists.items()}
        return {**out, "requestheader-client-ca-file": self.front_proxies}


def merged(found: dict[str, str], wanted: dict[str, str], now: float) -> dict[str, str]:
    """What is there and what is to be there: authorities that are good still, and names, are added up. Pure."""
    out = dict(found)
    for name, value in wanted.items():
        before = found.get(name, "")
        if name.endswith("ca-file"):
            kept = [one for one in _certificates(before) if not _is_over(one, now)]
            all_ = list(dict.fromkeys([*kept, *_certificates(value)]))
            out[name] = "".join(all_[-MAX_AUTHORITIES:])
        else:
            names = [*_names(before), *_names(value)]
            # no name at all means any: that is kept as it is
            out[name] = value if not before or not _names(value) else orjson.dumps(list(dict.fromkeys(names))).decode()
    return out


def _certificates(text: str) -> list[str]:
    return [one if one.endswith("\n") else one + "\n" for one in _CERTIFICATE.findall(text)]


def _is_over(certificate: str, now: float) -> bool:
    try:
        return pki.expires_at(certificate.encode()) < now
    except ValueError:
        return True


def _names(text: str) -> list[str]:
    try:
        found = orjson.loads(text)
    except ValueError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


async def publish(server: ApiServer, trust: Trust) -> None:
    """Make the ConfigMap, or add to it."""
    from heeler.apiserver.bootstrap.bootstrap import ensure

    wanted = trust.data()
    item = server.item("", "configmaps", NAMESPACE, NAME)
    if not wanted:
        return
    if item is None:
        metadata = {"name": NAME, "namespace": NAMESPACE}
        await ensure(server, {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": wanted})
        return
    obj = item.fresh()
    data = merged(obj.get("data") or {}, wanted, server.clock.time())
    if data == obj.get("data"):
        return
    try:
        await server.store.update(item.key, encode({**obj, "data": data}), item.revision)
    except (RevisionMismatch, KeyNotFound, StoreUnavailable) as error:
        log.warning("%s is not brought up to date: %s; the next start looks again", item.key, error)
