"""`heeler controller-manager`: the controllers alone, against any API server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heeler.cli.component import (
    Access,
    LeaderElection,
    election_options,
    kubeconfig_option,
    run_component,
    serving_options,
    throttle_options,
)
from heeler.cli.controller_flags import setting_options, settings_of
from heeler.cli.flags import fail, set_up_logging, switch, verbosity

if TYPE_CHECKING:
    from heeler.client.component_server import Serving


@click.command(epilog="Example: heeler controller-manager --kubeconfig controller-manager.kubeconfig")
@kubeconfig_option
@election_options
@throttle_options
@click.option(
    "--controllers",
    default="*",
    show_default=True,
    help="Comma-separated: * all that run by default, NAME that one, -NAME not that one.",
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
@switch("--use-service-account-credentials", help="Act as a service account of its own in each controller.")
@setting_options
@serving_options
@verbosity
def controller_manager(
    kubeconfig: Path,
    election: LeaderElection,
    kube_api_qps: float,
    kube_api_burst: int,
    controllers: str,
    root_ca_file: Path | None,
    service_account_private_key_file: Path | None,
    cluster_signing_cert_file: Path | None,
    cluster_signing_key_file: Path | None,
    use_service_account_credentials: bool,
    serving: Serving,
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
    from heeler.client.queue_measures import QueueMeasures, text
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
        settings = settings_of(tuning, Settings(root_ca=root, sign=sign, sign_certificate=sign_certificate))
    except (ValueError, OSError) as error:
        fail(str(error), code=2)
    queues: dict[str, QueueMeasures[str]] = {}
    pages = {"/healthz": lambda: "ok", "/metrics": lambda: text(queues)}

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
            settings=settings,
            controllers=entries,
            measures=queues if serving.port else None,
        )

    access = Access(kubeconfig, kube_api_qps, kube_api_burst)
    run_component(access, "kube-controller-manager", election, work, serving, pages)
