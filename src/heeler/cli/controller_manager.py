"""`heeler controller-manager`: the controllers alone, against any API server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from heeler.cli.component import Access, elect_option, kubeconfig_option, run_component, throttle_options
from heeler.cli.flags import duration, fail, set_up_logging

#: Durations of `controllers.loop.Settings` that have a flag of the same name (upstream's): help.
TUNING = {
    "node_monitor_grace_period": "A node that says nothing for this long is unknown.",
    "node_monitor_period": "How often nodes are looked at.",
    "pvclaimbinder_sync_period": "How often claims that wait for a volume are looked at again.",
    "horizontal_pod_autoscaler_sync_period": "How often autoscalers decide.",
    "cluster_signing_duration": "How long certificates are valid at most.",
}


def tuning_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A flag for each duration of TUNING; the default is that of Settings."""
    for name, text in reversed(TUNING.items()):
        flag = f"--{name.replace('_', '-')}"
        command = click.option(flag, name, type=duration, default=None, help=f"{text} For example 40s or 1m30s.")(
            command
        )
    return command


@click.command(epilog="Example: heeler controller-manager --kubeconfig controller-manager.kubeconfig")
@kubeconfig_option
@elect_option
@throttle_options
@click.option(
    "--controllers", default="*", show_default=True, help="Comma-separated: * all, NAME that one, -NAME not that one."
)
@click.option(
    "--root-ca-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority that is published to pods (kube-root-ca.crt).",
)
@click.option(
    "--service-account-private-key-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Signs the tokens that are kept in Secrets; without it none are made.",
)
@click.option(
    "--cluster-signing-cert-file",
    type=click.Path(path_type=Path),
    default=None,
    help="Authority that signs approved certificate requests; without it none are signed.",
)
@click.option("--cluster-signing-key-file", type=click.Path(path_type=Path), default=None, help="Its key.")
@click.option(
    "--use-service-account-credentials", is_flag=True, help="Act as a service account of its own in each controller."
)
@tuning_options
@click.option("-v", "--verbose", count=True, help="Log more.")
def controller_manager(
    kubeconfig: Path,
    leader_elect: bool,
    kube_api_qps: float,
    kube_api_burst: int,
    controllers: str,
    root_ca_file: Path | None,
    service_account_private_key_file: Path | None,
    cluster_signing_cert_file: Path | None,
    cluster_signing_key_file: Path | None,
    use_service_account_credentials: bool,
    verbose: int,
    **tuning: Any,
) -> None:
    """Run the controllers in the foreground until told to stop."""
    from heeler.apiserver.authenticate.service_accounts import signer
    from heeler.base.clock import SystemClock
    from heeler.base.pki import KeyPair
    from heeler.base.random import SystemRandom
    from heeler.client.client import Client
    from heeler.client.https import HttpsClient
    from heeler.cluster import signing
    from heeler.controllers.list import chosen, run
    from heeler.controllers.loop import Settings

    set_up_logging(verbose)
    try:
        entries = chosen([n.strip() for n in controllers.split(",")])
        root = root_ca_file.read_text() if root_ca_file else ""
        key = service_account_private_key_file
        sign = signer(key.read_bytes()) if key else None
        sign_certificate = None
        if cluster_signing_cert_file or cluster_signing_key_file:
            if not (cluster_signing_cert_file and cluster_signing_key_file):
                fail("--cluster-signing-cert-file and --cluster-signing-key-file belong together", code=2)
            authority = KeyPair.load(cluster_signing_cert_file, cluster_signing_key_file)
            sign_certificate = signing(authority, SystemClock())
    except (ValueError, OSError) as error:
        fail(str(error), code=2)

    settings = Settings(root_ca=root, sign=sign, sign_certificate=sign_certificate)

    async def work(client: HttpsClient) -> None:
        made: dict[str, Client] = {}

        def make(name: str) -> Client:
            if not use_service_account_credentials:
                return client
            if name not in made:
                made[name] = client.as_service_account("kube-system", name)
            return made[name]

        await run(
            make,
            clock=SystemClock(),
            random=SystemRandom(),
            settings=replace(settings, **{k: v for k, v in tuning.items() if v is not None}),
            controllers=entries,
        )

    run_component(Access(kubeconfig, kube_api_qps, kube_api_burst), "kube-controller-manager", leader_elect, work)
