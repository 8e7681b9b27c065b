"""All controllers, in the order in which they start, and how a process runs them.

Each acts under its own name, `system:serviceaccount:kube-system:<account>`, with the rights of the role
`system:controller:<account>`. They share informers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from heeler.base.clock import Clock
from heeler.base.random import Random
from heeler.base.tasks import Tasks
from heeler.client.client import Client
from heeler.client.events import Recorder
from heeler.client.informer import Informers
from heeler.controllers.certificates import CertificateApprover, CertificateCleaner, CertificateSigner
from heeler.controllers.cluster_dns import ClusterDnsController
from heeler.controllers.clusterrole_aggregation import ClusterRoleAggregationController
from heeler.controllers.cronjob import CronJobController
from heeler.controllers.daemonset import DaemonSetController
from heeler.controllers.deployment import DeploymentController
from heeler.controllers.disruption import DisruptionController
from heeler.controllers.endpoint import EndpointController
from heeler.controllers.endpointslice import EndpointSliceController
from heeler.controllers.endpointslicemirroring import EndpointSliceMirroringController
from heeler.controllers.ephemeral_volume import EphemeralVolumeController
from heeler.controllers.garbage import GarbageCollector
from heeler.controllers.horizontalpodautoscaler import HorizontalPodAutoscalerController
from heeler.controllers.job import JobController
from heeler.controllers.local_path import LocalPathController
from heeler.controllers.loop import Context, Make, Settings, spawn
from heeler.controllers.namespace import NamespaceController
from heeler.controllers.node import NodeController
from heeler.controllers.podgc import PodGarbageCollector
from heeler.controllers.replicaset import REPLICATION_CONTROLLER, ReplicaSetController
from heeler.controllers.resourcequota import ResourceQuotaController
from heeler.controllers.rootca import RootCaController
from heeler.controllers.serviceaccount import ServiceAccountController
from heeler.controllers.serviceaccount_token import ACCOUNT_NAME, ServiceAccountTokenController
from heeler.controllers.statefulset import StatefulSetController
from heeler.controllers.taint_eviction import TaintEvictionController
from heeler.controllers.ttl_after_finished import TtlAfterFinishedController
from heeler.controllers.validating_admission_policy_status import ValidatingAdmissionPolicyStatusController
from heeler.controllers.volume_binder import VolumeBinder
from heeler.controllers.volume_expand import VolumeExpandController
from heeler.controllers.volume_protection import (
    AttributesClassProtectionController,
    ClaimProtectionController,
    VolumeProtectionController,
)
from heeler.workloads import local_path

#: The account that reads for all of them: the one that may read everything.
READER = "generic-garbage-collector"

#: Gives a client that acts as a service account of kube-system.
MakeClient = Callable[[str], Client]


class Entry(NamedTuple):
    """`name` as in --controllers, `account` whose rights it has."""

    name: str
    account: str
    make: Make


CONTROLLERS: tuple[Entry, ...] = (
    Entry("namespace-controller", "namespace-controller", NamespaceController),
    Entry("serviceaccount-controller", "service-account-controller", ServiceAccountController),
    Entry("serviceaccount-token-controller", ACCOUNT_NAME, ServiceAccountTokenController),
    Entry("root-ca-certificate-publisher-controller", "root-ca-cert-publisher", RootCaController),
    Entry("certificatesigningrequest-approving-controller", "certificate-controller", CertificateApprover),
    Entry("certificatesigningrequest-signing-controller", "certificate-controller", CertificateSigner),
    Entry("certificatesigningrequest-cleaner-controller", "certificate-controller", CertificateCleaner),
    Entry(
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation-controller",
        ClusterRoleAggregationController,
    ),
    Entry("garbage-collector-controller", "generic-garbage-collector", GarbageCollector),
    Entry("deployment-controller", "deployment-controller", DeploymentController),
    Entry("replicaset-controller", "replicaset-controller", ReplicaSetController),
    Entry(
        "replicationcontroller-controller",
        "replication-controller",
        lambda context: ReplicaSetController(context, REPLICATION_CONTROLLER),
    ),
    Entry("statefulset-controller", "statefulset-controller", StatefulSetController),
    Entry("daemonset-controller", "daemon-set-controller", DaemonSetController),
    Entry("job-controller", "job-controller", JobController),
    Entry("cronjob-controller", "cronjob-controller", CronJobController),
    Entry("ttl-after-finished-controller", "ttl-after-finished-controller", TtlAfterFinishedController),
    Entry("horizontal-pod-autoscaler-controller", "horizontal-pod-autoscaler", HorizontalPodAutoscalerController),
    Entry("persistentvolume-binder-controller", "persistent-volume-binder", VolumeBinder),
    Entry("persistentvolume-expander-controller", "expand-controller", VolumeExpandController),
    Entry("persistentvolumeclaim-protection-controller", "pvc-protection-controller", ClaimProtectionController),
    Entry("persistentvolume-protection-controller", "pv-protection-controller", VolumeProtectionController),
    Entry(
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        AttributesClassProtectionController,
    ),
    Entry("ephemeral-volume-controller", "ephemeral-volume-controller", EphemeralVolumeController),
    Entry("local-path-provisioner-controller", local_path.CONTROLLER_ACCOUNT, LocalPathController),
    Entry("endpointslice-controller", "endpointslice-controller", EndpointSliceController),
    Entry("endpoints-controller", "endpoint-controller", EndpointController),
    Entry(
        "endpointslice-mirroring-controller",
        "endpointslicemirroring-controller",
        EndpointSliceMirroringController,
    ),
    Entry("cluster-dns-controller", "cluster-dns-controller", ClusterDnsController),
    Entry("resourcequota-controller", "resourcequota-controller", ResourceQuotaController),
    Entry("disruption-controller", "disruption-controller", DisruptionController),
    Entry("node-lifecycle-controller", "node-controller", NodeController),
    Entry("taint-eviction-controller", "node-controller", TaintEvictionController),
    Entry(
        "validatingadmissionpolicy-status-controller",
        "validatingadmissionpolicy-status-controller",
        ValidatingAdmissionPolicyStatusController,
    ),
    Entry("pod-garbage-collector-controller", "pod-garbage-collector", PodGarbageCollector),
)


def chosen(names: Sequence[str]) -> list[Entry]:
    """The controllers that --controllers names: `*` all, `-name` not this one. Raises ValueError for unknown names."""
    known = {entry.name for entry in CONTROLLERS}
    for name in names:
        if name not in ("*", "") and name.lstrip("-") not in known:
            raise ValueError(f'"{name.lstrip("-")}" is not in the list of known controllers')
    return [entry for entry in CONTROLLERS if f"-{entry.name}" not in names and ("*" in names or entry.name in names)]


async def start(
    make_client: MakeClient,
    tasks: Tasks,
    *,
    clock: Clock,
    random: Random,
    settings: Settings | None = None,
    controllers: Sequence[Entry] = CONTROLLERS,
) -> None:
    """Start controllers as tasks; returns at once. They begin to work when their informers have what is there."""
    tasks.spawn(run(make_client, clock=clock, random=random, settings=settings, controllers=controllers), "controllers")


async def run(
    make_client: MakeClient,
    *,
    clock: Clock,
    random: Random,
    settings: Settings | None = None,
    controllers: Sequence[Entry] = CONTROLLERS,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Run controllers until cancelled. `ready` is called once their informers have what is there."""
    settings = settings or Settings()
    informers = Informers(make_client(READER), clock)
    async with Tasks() as tasks:
        running = []
        for entry in controllers:
            client = make_client(entry.account)

            def recorder(component: str, client: Client = client) -> Recorder:
                found = Recorder(client, component, clock=clock)
                tasks.spawn(found.run(), f"events of {component}")
                return found

            context = Context(entry.name, client, informers, clock, random, settings, recorder)
            running.append((entry.name, entry.make(context)))
        informers.start(tasks)
        await informers.wait_synced()
        for name, controller in running:
            spawn(tasks, name, controller, settings.workers)
        ready()
        await tasks.wait()
