"""`heeler apiserver`: an API server alone, with kube-apiserver's flag names."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import click

from heeler.cli.flags import duration, fail, set_up_logging, switch, verbosity

EXAMPLE = (
    "Example: heeler apiserver --data-dir ./data --cert-dir ./certs --token-auth-file users.csv --secure-port 6443"
)


@click.command(epilog=EXAMPLE)
@click.option("--bind-address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--secure-port", default=6443, show_default=True, type=click.IntRange(0, 65535), help="Port (0: a free one)."
)
@click.option("--advertise-address", default="", help="Address that others reach this server at.")
@click.option(
    "--cert-dir",
    type=click.Path(path_type=Path),
    default=Path("heeler-certs"),
    show_default=True,
    help="Where certificates are made that no flag names.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the embedded store. Without it (and without etcd) everything is kept in memory and lost at the end.",
)
@click.option("--etcd-servers", default="", help="Comma-separated etcd addresses instead of the embedded store.")
@click.option("--tls-cert-file", type=click.Path(path_type=Path), default=None, help="Serving certificate.")
@click.option("--tls-private-key-file", type=click.Path(path_type=Path), default=None, help="Its key.")
@click.option(
    "--client-ca-file", type=click.Path(path_type=Path), default=None, help="Authority of client certificates."
)
@click.option(
    "--token-auth-file",
    type=click.Path(path_type=Path),
    default=None,
    help='Static tokens: lines of token,user,uid,"group1,group2".',
)
@click.option(
    "--service-account-issuer",
    default="https://kubernetes.default.svc",
    show_default=True,
    help="Issuer of service account tokens.",
)
@click.option(
    "--service-account-key-file",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Keys to check tokens with (may be given several times).",
)
@click.option(
    "--service-account-signing-key-file", type=click.Path(path_type=Path), default=None, help="Key to sign tokens with."
)
@click.option("--api-audiences", default="", help="Comma-separated audiences of this server; the issuer without it.")
@switch(
    "--enable-bootstrap-token-auth",
    help="Take secrets of the type bootstrap.kubernetes.io/token in kube-system as tokens of new nodes.",
)
@click.option("--service-cluster-ip-range", default="10.0.0.0/24", show_default=True, help="Addresses of Services.")
@click.option(
    "--event-ttl",
    type=duration,
    default="1h",
    show_default=True,
    help="How long events are kept; 0 keeps them for ever.",
)
@click.option("--service-node-port-range", default="30000-32767", show_default=True, help="Node ports of Services.")
@click.option(
    "--authorization-mode",
    default="Node,RBAC",
    show_default=True,
    help="Comma-separated: Node, RBAC, AlwaysAllow, AlwaysDeny.",
)
@click.option(
    "--kubelet-client-certificate",
    type=click.Path(path_type=Path),
    default=None,
    help="Client certificate for nodes' agents.",
)
@click.option("--kubelet-client-key", type=click.Path(path_type=Path), default=None, help="Its key.")
@click.option(
    "--kubelet-certificate-authority",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority of the agents' certificates.",
)
@click.option(
    "--proxy-client-cert-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Client certificate for aggregated API servers.",
)
@click.option("--proxy-client-key-file", type=click.Path(path_type=Path), default=None, help="Its key.")
@click.option(
    "--requestheader-client-ca-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority of that certificate, which aggregated API servers are told to trust.",
)
@click.option(
    "--requestheader-allowed-names", default="", help="Comma-separated common names that it may have; any without it."
)
@switch("--allow-privileged", help="Allow privileged containers.")
@switch(
    "--warn-not-enforced",
    help="Warn of objects that nothing acts upon in this version.",
)
@switch(
    "--resource-metrics",
    help="Serve metrics.k8s.io with what the nodes' agents say, in place of a metrics-server.",
)
@click.option(
    "--audit-policy-file",
    type=click.Path(path_type=Path),
    default=None,
    help="What the audit log holds (kind: Policy, apiVersion: audit.k8s.io/v1).",
)
@click.option("--audit-log-path", default="", help='The audit log, JSON in lines ("-": standard output).')
@click.option("--audit-log-maxsize", default=100, show_default=True, type=click.IntRange(0), help="MiB of a file.")
@click.option(
    "--audit-log-maxbackup", default=0, show_default=True, type=click.IntRange(0), help="Old files to keep (0: all)."
)
@click.option(
    "--audit-log-maxage", default=0, show_default=True, type=click.IntRange(0), help="Days to keep them (0: all)."
)
@verbosity
def apiserver(**flags: Any) -> None:
    """Run an API server in the foreground until it is told to stop (SIGTERM, Ctrl-C)."""
    from heeler.apiserver.audit.log import Limits
    from heeler.apiserver.run import Options

    set_up_logging(flags.pop("verbose"))
    try:
        low, _, high = flags["service_node_port_range"].partition("-")
        options = Options(
            cert_dir=flags["cert_dir"],
            bind_address=flags["bind_address"],
            secure_port=flags["secure_port"],
            data_dir=flags["data_dir"],
            etcd_servers=_split(flags["etcd_servers"]),
            tls_cert_file=flags["tls_cert_file"],
            tls_private_key_file=flags["tls_private_key_file"],
            client_ca_file=flags["client_ca_file"],
            token_auth_file=flags["token_auth_file"],
            service_account_issuer=flags["service_account_issuer"],
            service_account_key_files=flags["key_files"],
            service_account_signing_key_file=flags["service_account_signing_key_file"],
            api_audiences=_split(flags["api_audiences"]),
            service_cluster_ip_range=flags["service_cluster_ip_range"],
            event_ttl=flags["event_ttl"],
            service_node_port_range=(int(low), int(high)),
            authorization_modes=_split(flags["authorization_mode"]),
            kubelet_client_certificate=flags["kubelet_client_certificate"],
            kubelet_client_key=flags["kubelet_client_key"],
            kubelet_certificate_authority=flags["kubelet_certificate_authority"],
            proxy_client_cert_file=flags["proxy_client_cert_file"],
            proxy_client_key_file=flags["proxy_client_key_file"],
            requestheader_client_ca_file=flags["requestheader_client_ca_file"],
            requestheader_allowed_names=_split(flags["requestheader_allowed_names"]),
            advertise_address=flags["advertise_address"],
            enable_bootstrap_token_auth=flags["enable_bootstrap_token_auth"],
            warn_not_enforced=flags["warn_not_enforced"],
            allow_privileged=flags["allow_privileged"],
            resource_metrics=flags["resource_metrics"],
            audit_policy_file=flags["audit_policy_file"],
            audit_log_path=flags["audit_log_path"],
            audit_log_limits=Limits(
                flags["audit_log_maxsize"], flags["audit_log_maxbackup"], flags["audit_log_maxage"]
            ),
        )
    except ValueError as error:
        fail(f"--service-node-port-range: {error}: give it as 30000-32767", code=2)
    import uvloop

    from heeler.base import memory

    try:
        memory.for_servers()
        uvloop.run(_run(options))
    except (OSError, ValueError) as error:
        fail(_explain(error, options.secure_port))


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


async def _run(options: Any) -> None:
    from heeler.apiserver.run import running
    from heeler.base.clock import SystemClock
    from heeler.base.random import SystemRandom
    from heeler.store.open import open_store

    sys.setswitchinterval(0.0005)  # the store's thread must get the interpreter in time (ARCHITECTURE.md)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = open_store(options.data_dir, options.etcd_servers)
    try:
        async with running(options, store, clock=SystemClock(), random=SystemRandom()) as found:
            click.echo(f"serving on https://{options.bind_address}:{found.listener.port}", err=True)
            await stop.wait()
    finally:
        await store.close()


def _explain(error: Exception, port: int) -> str:
    if isinstance(error, OSError) and error.errno == 98:
        return f"port {port} is in use: choose another with --secure-port, or stop what uses it (ss -ltnp)"
    return str(error)
