"""An API server as a process (or a part of one) runs it: options, files, TLS, and the HTTPS listener.

Files that aren't given are made in the certificate folder at the first start, each readable by its owner only.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from heeler.apiserver.aggregation.transport import Credentials
from heeler.apiserver.aggregation.trust import Trust
from heeler.apiserver.audit.log import AuditLog, Limits
from heeler.apiserver.audit.policy import PolicyError, read
from heeler.apiserver.audit.record import Audit
from heeler.apiserver.authenticate.bootstrap_tokens import BootstrapTokens
from heeler.apiserver.authenticate.service_accounts import ServiceAccountTokens
from heeler.apiserver.authenticate.token_file import TokenFile
from heeler.apiserver.loops.compaction import compact_for_ever
from heeler.apiserver.loops.memory import give_back_for_ever
from heeler.apiserver.nodes import KubeletConnections
from heeler.apiserver.request import serve
from heeler.apiserver.server import ApiServer, Settings
from heeler.base import pki
from heeler.base.clock import Clock
from heeler.base.files import private_folder, write_atomic
from heeler.base.random import Random
from heeler.objects import yaml_text
from heeler.store.store import Store
from heeler.wire.http.messages import Request, Response, Upgrade
from heeler.wire.http.server import Server
from heeler.wire.http.server import serve as listen


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of kube-apiserver that Heeler knows, with its defaults (see `heeler apiserver --help`)."""

    cert_dir: Path
    bind_address: str = "127.0.0.1"
    secure_port: int = 6443
    data_dir: Path | None = None
    etcd_servers: tuple[str, ...] = ()
    tls_cert_file: Path | None = None
    tls_private_key_file: Path | None = None
    client_ca_file: Path | None = None
    token_auth_file: Path | None = None
    service_account_issuer: str = "https://kubernetes.default.svc"
    service_account_key_files: tuple[Path, ...] = ()
    service_account_signing_key_file: Path | None = None
    api_audiences: tuple[str, ...] = ()
    service_cluster_ip_range: str = "10.0.0.0/24"
    service_node_port_range: tuple[int, int] = (30000, 32767)
    event_ttl: float = 3600.0
    authorization_modes: tuple[str, ...] = ("Node", "RBAC")
    kubelet_client_certificate: Path | None = None
    kubelet_client_key: Path | None = None
    kubelet_certificate_authority: Path | None = None
    proxy_client_cert_file: Path | None = None
    proxy_client_key_file: Path | None = None
    requestheader_client_ca_file: Path | None = None
    requestheader_allowed_names: tuple[str, ...] = ()
    advertise_address: str = ""
    extra_server_names: tuple[str, ...] = ()
    enable_bootstrap_token_auth: bool = False
    warn_not_enforced: bool = False
    allow_privileged: bool = True
    resource_metrics: bool = False
    local_path: bool = False
    #: What is written down of requests, and where to ("-": standard output).
    audit_policy_file: Path | None = None
    audit_log_path: str = ""
    audit_log_limits: Limits = field(default_factory=Limits)
    #: A socket that is bound already, in the place of address and port.
    bound: socket.socket | None = None


@dataclass(slots=True)
class Running:
    """A server that serves: its state, and its listener."""

    server: ApiServer
    listener: Server
    certificate: pki.Renewing


@contextlib.asynccontextmanager
async def running(options: Options, store: Store, *, clock: Clock, random: Random) -> AsyncIterator[Running]:
    """Start, give the running server, stop. Raises ValueError and OSError with what to do."""
    files = prepare_files(options, clock)
    settings = Settings(
        service_cluster_ip_range=options.service_cluster_ip_range,
        event_ttl=options.event_ttl,
        service_node_port_range=options.service_node_port_range,
        service_account_issuer=options.service_account_issuer,
        authorization_modes=options.authorization_modes,
        advertise_address=options.advertise_address or _own_address(options.bind_address),
        advertise_port=options.secure_port,
        warn_not_enforced=options.warn_not_enforced,
        allow_privileged=options.allow_privileged,
        resource_metrics=options.resource_metrics,
        local_path=options.local_path,
    )
    server = ApiServer(store, clock=clock, random=random, settings=settings)
    audit_log = _audit(server, options, clock)
    _add_token_sources(server, options, files, clock, random)
    if options.kubelet_client_certificate and options.kubelet_client_key:
        server.nodes = KubeletConnections(
            options.kubelet_client_certificate, options.kubelet_client_key, options.kubelet_certificate_authority
        )
    if options.proxy_client_cert_file and options.proxy_client_key_file:
        server.aggregator.transport.credentials = Credentials(
            options.proxy_client_cert_file, options.proxy_client_key_file
        )
    server.trust = Trust(
        _pem(options.client_ca_file), _pem(options.requestheader_client_ca_file), options.requestheader_allowed_names
    )
    tls = pki.server_context(files.certificate, files.key, options.client_ca_file)

    async def handler(request: Request) -> Response | Upgrade:
        return await serve(request, server)

    await server.start()
    listener = await listen(handler, host=options.bind_address, port=options.secure_port, tls=tls, bound=options.bound)
    loop = asyncio.get_running_loop()
    loops = [
        loop.create_task(compact_for_ever(store, clock)),
        loop.create_task(give_back_for_ever(server.seats, clock)),
    ]
    try:
        yield Running(server, listener, pki.Renewing(tls, files.certificate, files.key))
    finally:
        for task in loops:
            task.cancel()
        await listener.close()
        await server.close()
        if audit_log is not None:
            audit_log.close()


@dataclass(frozen=True, slots=True)
class Files:
    certificate: Path
    key: Path
    signing_key: Path


def prepare_files(options: Options, clock: Clock) -> Files:
    """The server's certificate and the token key; made when missing."""
    folder = private_folder(options.cert_dir)
    certificate = options.tls_cert_file or folder / "apiserver.crt"
    key = options.tls_private_key_file or folder / "apiserver.key"
    if not certificate.exists() or not key.exists():
        if options.tls_cert_file:
            raise ValueError(f"--tls-cert-file {certificate} or its key isn't there")
        authority = pki.new_authority("heeler-apiserver", clock.time())
        names = ["localhost", "127.0.0.1", "::1", *options.extra_server_names]
        if options.bind_address not in ("0.0.0.0", "::", *names):
            names.append(options.bind_address)
        pki.issue(authority, "kube-apiserver", clock.time(), server_names=names).save(certificate, key)
        write_atomic(folder / "apiserver-ca.crt", authority.certificate, 0o644)
    signing = options.service_account_signing_key_file or folder / "sa.key"
    if not signing.exists():
        if options.service_account_signing_key_file:
            raise ValueError(f"--service-account-signing-key-file {signing} isn't there")
        write_atomic(signing, pki.new_rsa_key(), 0o600)
    return Files(certificate, key, signing)


def _add_token_sources(server: ApiServer, options: Options, files: Files, clock: Clock, random: Random) -> None:
    if options.token_auth_file:
        try:
            server.token_sources.append(TokenFile.load(options.token_auth_file))
        except OSError as error:
            raise ValueError(f"--token-auth-file: cannot read {options.token_auth_file}: {error.strerror}") from error
    tokens = ServiceAccountTokens(
        issuer=options.service_account_issuer,
        audiences=options.api_audiences or (options.service_account_issuer,),
        signing_key=files.signing_key.read_bytes(),
        public_keys=tuple(p.read_bytes() for p in options.service_account_key_files),
        lookup=server.lookup,
        clock=clock,
        random=random,
        used=server.legacy_tokens.used,
    )
    server.service_accounts = tokens
    server.token_sources.append(tokens)
    if options.enable_bootstrap_token_auth:
        server.token_sources.append(BootstrapTokens(server.lookup, clock))


def _audit(server: ApiServer, options: Options, clock: Clock) -> AuditLog | None:
    """Begin the audit log, if there is to be one. Raises ValueError."""
    if not options.audit_policy_file and not options.audit_log_path:
        return None
    if not options.audit_policy_file or not options.audit_log_path:
        raise ValueError("an audit log needs both --audit-policy-file (what to write) and --audit-log-path (where to)")
    try:
        policy = read(yaml_text.load(options.audit_policy_file.read_bytes())[0])
        found = AuditLog(options.audit_log_path, options.audit_log_limits, clock)
    except OSError as error:
        raise ValueError(f"the audit log: {error.filename}: {error.strerror}") from error
    except (PolicyError, yaml_text.YamlError) as error:
        raise ValueError(f"--audit-policy-file {options.audit_policy_file}: {error}") from error
    server.audit = Audit(policy, found.write, clock)
    return found


def _pem(file: Path | None) -> str:
    return file.read_text() if file else ""


def _own_address(bind: str) -> str:
    return "127.0.0.1" if bind in ("0.0.0.0", "") else bind
