"""The Ingress controller: watches Ingresses, keeps an Envoy in step with them, and says in their status where they are.

Envoy starts with the first Ingress and ends with the last one. It runs inside the node's network, where pods are, and
listens on the host's loopback.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from heeler.base import pki
from heeler.base.clock import Clock
from heeler.base.files import read_text, write_atomic
from heeler.base.processes import ProgramError
from heeler.base.together import together
from heeler.client.client import Client
from heeler.envoy.process import Envoy
from heeler.envoy.snapshot import Gateway
from heeler.network import ingress as plans
from heeler.network.follow import Mirror
from heeler.network.ingress import Key, Problem, Sources
from heeler.network.policies import OUTSIDE
from heeler.network.proxy import Proxy
from heeler.network.publish import HOST
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta, name_of, namespace_of

if TYPE_CHECKING:
    from heeler.network.node import Events

log = logging.getLogger(__name__)

INGRESSES = GroupVersionResource("networking.k8s.io", "v1", "ingresses")
CLASSES = GroupVersionResource("networking.k8s.io", "v1", "ingressclasses")
SECRETS = GroupVersionResource("", "v1", "secrets")
#: Seconds: changes within this time go together; secrets are looked at again.
GATHER, SECRETS_AGAIN = 0.02, 5.0
#: Ports that are tried where the wanted one is taken, before any free one.
OTHERWISE = {80: (8080, 8081, 8082), 443: (8443, 8444, 8445)}
#: Keys that Envoy takes: bits of RSA, curves by their names in certificates.
MIN_RSA, MAX_RSA, CURVES = 2048, 8192, ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """`folder` for Envoy's files (keys among them), `record` says where it listens, `wanted` are the ports on the host."""

    folder: Path
    record: Path
    netns: Path
    name: str
    wanted: tuple[int, int] = (80, 443)


def listening(record: Path, wanted: tuple[int, int] | None = None) -> tuple[int, int]:
    """(HTTP, HTTPS) ports on the host by the record; zeros if there is none, or if others were `wanted` then."""
    text = read_text(record)
    try:
        found: dict[str, Any] = orjson.loads(text) if text else {}
        if wanted is not None and found.get("wanted") != list(wanted):
            return 0, 0
        return int(found.get("http", 0)), int(found.get("https", 0))
    except (orjson.JSONDecodeError, ValueError, AttributeError):
        return 0, 0


def free(port: int) -> bool:
    """Whether the port can be had on the host's loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def choose(wanted: int) -> int:
    """The wanted port, else another one."""
    tried: tuple[int, ...] = (wanted, *OTHERWISE.get(wanted, ()))
    for port in tried:
        if free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        number: int = probe.getsockname()[1]
        return number


def check_pair(certificate: str, key: str) -> str:
    """Why Envoy can't use a certificate and its key; "" if it can."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import PublicKeyAlgorithmOID

    try:
        [leaf, *_] = x509.load_pem_x509_certificates(certificate.encode())
        private = load_pem_private_key(key.encode(), None)
        public = leaf.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"tls.crt or tls.key is no PEM: {error}"
    if public != private.public_key():
        return "tls.key does not belong to tls.crt"
    if isinstance(private, rsa.RSAPrivateKey):
        good = (
            MIN_RSA <= private.key_size <= MAX_RSA
            and leaf.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5
        )
    elif isinstance(private, ec.EllipticCurvePrivateKey):
        good = private.curve.name in CURVES
    else:
        good = isinstance(private, ed25519.Ed25519PrivateKey)
    if good:
        return ""
    return f"the key must be RSA of {MIN_RSA} to {MAX_RSA} bits, ECDSA on P-256, P-384 or P-521, or Ed25519"


class IngressGateway:
    """`run` until cancelled."""

    def __init__(self, options: GatewayOptions, client: Client, clock: Clock, proxy: Proxy, events: Events) -> None:
        self._options, self._client, self._clock, self._proxy, self._events = options, client, clock, proxy, events
        self._dirty = asyncio.Event()
        self._known = [asyncio.Event(), asyncio.Event()]
        first, second = self._known
        self._ingresses = Mirror(client, INGRESSES, clock, self._changed, synced=first.set)
        self._classes = Mirror(client, CLASSES, clock, self._changed, synced=second.set)
        proxy.services_mirror.listen(self._changed)
        proxy.slices_mirror.listen(self._changed)
        self._envoy = Envoy(options.folder, options.name, options.netns, clock)
        self._keeper: asyncio.Task[None] | None = None
        self._gateway: Gateway | None = None
        self._told: dict[Problem, None] = {}
        self._asked: dict[Key, tuple[float, tuple[str, str] | None]] = {}
        self._problem = ""

    def _changed(self, old: Object | None, new: Object | None) -> None:
        self._dirty.set()

    async def run(self) -> None:
        """Mirror and apply until cancelled; then Envoy ends."""
        try:
            await together(self._ingresses.run(), self._classes.run(), self._apply())
        finally:
            await self._down()

    async def _apply(self) -> None:
        await self._proxy.synced.wait()
        for event in self._known:
            await event.wait()
        await self._own_class()
        while True:
            self._dirty.clear()
            mine = plans.chosen(list(self._ingresses.items.values()), list(self._classes.items.values()))
            try:
                if mine:
                    await self._step(mine)
                else:
                    await self._down()
            except (ProgramError, OSError) as error:
                log.warning("ingress: %s", error)
                self._say_all(mine, str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), SECRETS_AGAIN if mine else None)
            await self._clock.sleep(GATHER)

    async def _own_class(self) -> None:
        """The IngressClass, unless there is one with our controller; the default unless there is another default."""
        classes = list(self._classes.items.values())
        if any((c.get("spec") or {}).get("controller") == plans.CONTROLLER for c in classes):
            return
        default = any((meta(c).get("annotations") or {}).get(plans.DEFAULT_CLASS) == "true" for c in classes)
        notes = {} if default else {plans.DEFAULT_CLASS: "true"}
        made = {"metadata": {"name": plans.CLASS, "annotations": notes}, "spec": {"controller": plans.CONTROLLER}}
        try:
            await self._client.create(CLASSES, made)
        except (StatusError, OSError) as error:
            log.info("ingress class: %s", error)

    async def _step(self, mine: list[Object]) -> None:
        gateway = await self._up()
        secrets = {key: await self._secret(key) for key in plans.secrets_of(mine)}
        for gone in [key for key in self._asked if key not in secrets]:
            del self._asked[gone]
        sources = Sources(self._proxy.services_mirror.items, list(self._proxy.slices_mirror.items.values()), secrets)
        fallback = await asyncio.to_thread(self._fallback)
        snapshot, problems = plans.plan(mine, sources, fallback, check_pair)
        await asyncio.to_thread(self._envoy.update, snapshot, gateway)
        if self._keeper is None:
            self._envoy.start()
            self._keeper = asyncio.ensure_future(self._envoy.keep())
        for line in await asyncio.to_thread(self._envoy.refused):
            log.warning("ingress: Envoy goes on with what it had before: %s", line[:500])
        self._say(mine, problems)
        for ingress in mine:
            await self._status(ingress, gateway)

    async def _up(self) -> Gateway:
        """Where it listens: as before where that is possible."""
        if self._gateway is None:
            await self._envoy.prepare()
            before = listening(self._options.record, self._options.wanted)
            ours = self._envoy.running() is not None
            ports = []
            for wanted, old in zip(self._options.wanted, before, strict=True):
                ports.append(old if old and (ours or free(old)) else await asyncio.to_thread(choose, wanted))
            self._gateway = Gateway(HOST, ports[0], ports[1], str(self._envoy.host_netns), OUTSIDE)
            text = {"http": ports[0], "https": ports[1], "address": HOST, "wanted": list(self._options.wanted)}
            write_atomic(self._options.record, orjson.dumps(text), 0o644)
        return self._gateway

    async def _down(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._gateway is not None or self._envoy.running() is not None:
            await self._envoy.stop()
            self._gateway = None
            self._options.record.unlink(missing_ok=True)

    def _fallback(self) -> tuple[str, str]:
        """The certificate for clients that ask for a name without one: made once, trusted by nobody."""
        certificate, key = self._options.folder / "default.crt", self._options.folder / "default.key"
        if not key.exists():
            names = ["localhost", "*.localhost"]
            made = pki.issue(
                pki.new_authority("heeler-ingress", self._clock.time()),
                "ingress",
                self._clock.time(),
                server_names=names,
            )
            made.save(certificate, key)
        return certificate.read_text(), key.read_text()

    async def _secret(self, key: Key) -> tuple[str, str] | None:
        """A secret's certificate and key, asked for again once in a while; as it was where the server can't be asked."""
        now = self._clock.monotonic()
        known = self._asked.get(key)
        if known is not None and now - known[0] < (SECRETS_AGAIN if known[1] is not None else 0.5):
            return known[1]
        namespace, name = key
        pair: tuple[str, str] | None = None
        try:
            data = (await self._client.get(SECRETS, name, namespace)).get("data") or {}
            pair = tuple(base64.b64decode(data[file]).decode() for file in ("tls.crt", "tls.key"))  # type: ignore[assignment]
        except StatusError as error:
            if error.code != 404:
                log.info("secret %s/%s: %s", namespace, name, error)
                pair = known[1] if known is not None else None
        except OSError:
            pair = known[1] if known is not None else None
        except (KeyError, ValueError):
            pass
        self._asked[key] = (now, pair)
        return pair

    def _say(self, mine: list[Object], problems: list[Problem]) -> None:
        """An event for each problem that is new, and one port's that is not the wanted one."""
        by_key = {(namespace_of(i), name_of(i)): i for i in mine}
        assert self._gateway is not None
        found = dict.fromkeys(problems)
        for wanted, port in zip(self._options.wanted, (self._gateway.http, self._gateway.https), strict=True):
            if wanted != port:
                text = (
                    f"port {wanted} of {HOST} is taken (program or Service): Ingresses are to be found on {HOST}:{port}"
                )
                found |= {
                    Problem(key, "PortTaken", text): None
                    for key, i in by_key.items()
                    if wanted == 80 or i["spec"].get("tls")
                }
        for problem in found:
            if problem not in self._told:
                self._event(by_key[problem.ingress], "Warning", problem.reason, problem.message)
        self._told = found

    def _say_all(self, mine: list[Object], text: str) -> None:
        if text != self._problem:
            for ingress in mine:
                self._event(ingress, "Warning", "NoGateway", text)
        self._problem = text

    def _event(self, ingress: Object, kind: str, reason: str, message: str) -> None:
        shown = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", **ingress}
        self._events.event(shown, kind, reason, message)

    async def _status(self, ingress: Object, gateway: Gateway) -> None:
        ports = [gateway.http, *([gateway.https] if ingress["spec"].get("tls") else [])]
        wanted = [{"ip": HOST, "ports": [{"port": port, "protocol": "TCP"} for port in ports]}]
        if ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") == wanted:
            return
        try:
            status = {"status": {"loadBalancer": {"ingress": wanted}}}
            await self._client.patch(INGRESSES, name_of(ingress), status, namespace_of(ingress), subresource="status")
        except (StatusError, OSError) as error:
            log.info("status of ingress %s/%s: %s", namespace_of(ingress), name_of(ingress), error)
