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
from heeler.client.queue_measures import QueueMeasures
from heeler.controllers.attach_detach import AttachDetachController
from heeler.controllers.bootstrapsigner import BootstrapSigner
from heeler.controllers.certificates import CertificateApprover, CertificateCleaner, CertificateSigner
from heeler.controllers.cluster_dns import ClusterDnsController
from heeler.controllers.clusterrole_aggregation import ClusterRoleAggregationController
from heeler.controllers.clustertrustbundle_publisher import ClusterTrustBundlePublisher
from heeler.controllers.cronjob import CronJobController
from heeler.controllers.daemonset import DaemonSetController
from heeler.controllers.deployment import DeploymentController
from heeler.controllers.device_taint_eviction import DeviceTaintEvictionController
from heeler.controllers.disruption import DisruptionController
from heeler.controllers.endpoint import EndpointController
from heeler.controllers.endpointslice import EndpointSliceController
from heeler.controllers.endpointslicemirroring import EndpointSliceMirroringController
from heeler.controllers.ephemeral_volume import EphemeralVolumeController
from heeler.controllers.garbage import GarbageCollector
from heeler.controllers.horizontalpodautoscaler import HorizontalPodAutoscalerController
from heeler.controllers.job import JobController
from heeler.controllers.legacy_token_cleaner import LegacyTokenCleaner
from heeler.controllers.local_path import LocalPathController
from heeler.controllers.loop import Context, Make, Settings, spawn
from heeler.controllers.namespace import NamespaceController
from heeler.controllers.node import NodeController
from heeler.controllers.node_ipam import NodeIpamController
from heeler.controllers.podcertificaterequest_cleaner import PodCertificateRequestCleaner
from heeler.controllers.podgc import PodGarbageCollector
from heeler.controllers.replicaset import REPLICATION_CONTROLLER, ReplicaSetController
from heeler.controllers.resourceclaim import ResourceClaimController
from heeler.controllers.resourcequota import ResourceQuotaController
from heeler.controllers.rootca import RootCaController
from heeler.controllers.serviceaccount import ServiceAccountController
from heeler.controllers.serviceaccount_token import ACCOUNT_NAME, ServiceAccountTokenController
from heeler.controllers.servicecidr import ServiceCidrController
from heeler.controllers.statefulset import StatefulSetController
from heeler.controllers.storage_version_migrator import StorageVersionMigrator
from heeler.controllers.taint_eviction import TaintEvictionController
from heeler.controllers.tokencleaner import TokenCleaner
from heeler.controllers.ttl import TtlController
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


#: Names of work queues in metrics that are not the controllers' older names.
QUEUES = {
    "certificatesigningrequest-signing-controller": "certificate",
    "clusterrole-aggregation-controller": "ClusterRoleAggregator",
    "device-taint-eviction-controller": "device-taint-eviction-controller",
    "endpointslice-controller": "endpoint_slice",
    "endpointslice-mirroring-controller": "endpoint_slice_mirroring",
    "ephemeral-volume-controller": "ephemeral_volume",
    "garbage-collector-controller": "garbage_collector_attempt_to_delete",
    "horizontal-pod-autoscaler-controller": "horizontalpodautoscaler",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller": "ca_cert_publisher_cluster_trust_bundles",
    "node-lifecycle-controller": "node_lifecycle_controller",
    "persistentvolume-binder-controller": "claims",
    "persistentvolume-expander-controller": "volume_expand",
    "persistentvolume-protection-controller": "pvprotection",
    "persistentvolumeclaim-protection-controller": "pvcprotection",
    "replicationcontroller-controller": "replicationmanager",
    "resourceclaim-controller": "resource_claim",
    "resourcequota-controller": "resourcequota_primary",
    "root-ca-certificate-publisher-controller": "root_ca_cert_publisher",
    "service-cidr-controller": "ipaddresses",
    "serviceaccount-token-controller": "serviceaccount_tokens_service",
    "taint-eviction-controller": "noexec_taint_pod",
    "token-cleaner-controller": "token_cleaner",
    "bootstrap-signer-controller": "bootstrap_signer_queue",
    "ttl-after-finished-controller": "ttl_jobs_to_delete",
    "ttl-controller": "ttlcontroller",
    "validatingadmissionpolicy-status-controller": "validatingadmissionpolicy-status",
    "volumeattributesclass-protection-controller": "vacprotection",
}


class Entry(NamedTuple):
    """One controller.

    `name` as in --controllers, `alias` its name before Kubernetes 1.28 (still taken), `account` whose rights it has,
    `flag` and `workers` how many keys it works on at once: the flag's name ("" if it has none) and the default. One that
    isn't `by_default` runs only if it is named.
    """

    name: str
    account: str
    make: Make
    alias: str = ""
    flag: str = ""
    workers: int = 1
    by_default: bool = True

    @property
    def queue(self) -> str:
        """How metrics name its work queue."""
        return QUEUES.get(self.name) or self.alias or self.name


CONTROLLERS: tuple[Entry, ...] = (
    Entry(
        "namespace-controller",
        "namespace-controller",
        NamespaceController,
        alias="namespace",
        flag="concurrent-namespace-syncs",
        workers=10,
    ),
    Entry("serviceaccount-controller", "service-account-controller", ServiceAccountController, alias="serviceaccount"),
    Entry(
        "serviceaccount-token-controller",
        ACCOUNT_NAME,
        ServiceAccountTokenController,
        alias="serviceaccount-token",
        flag="concurrent-serviceaccount-token-syncs",
        workers=5,
    ),
    Entry(
        "legacy-serviceaccount-token-cleaner-controller",
        "legacy-service-account-token-cleaner",
        LegacyTokenCleaner,
        alias="legacy-service-account-token-cleaner",
    ),
    Entry(
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
        RootCaController,
        alias="root-ca-cert-publisher",
    ),
    Entry(
        "kube-apiserver-serving-clustertrustbundle-publisher-controller",
        "kube-apiserver-serving-clustertrustbundle-publisher",
        ClusterTrustBundlePublisher,
    ),
    Entry(
        "bootstrap-signer-controller", "bootstrap-signer", BootstrapSigner, alias="bootstrapsigner", by_default=False
    ),
    Entry("token-cleaner-controller", "token-cleaner", TokenCleaner, alias="tokencleaner", by_default=False),
    Entry(
        "certificatesigningrequest-approving-controller",
        "certificate-controller",
        CertificateApprover,
        alias="csrapproving",
        workers=5,
    ),
    Entry(
        "certificatesigningrequest-signing-controller",
        "certificate-controller",
        CertificateSigner,
        alias="csrsigning",
        workers=5,
    ),
    Entry(
        "certificatesigningrequest-cleaner-controller",
        "certificate-controller",
        CertificateCleaner,
        alias="csrcleaner",
    ),
    Entry("podcertificaterequest-cleaner-controller", "podcertificaterequestcleaner", PodCertificateRequestCleaner),
    Entry(
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation-controller",
        ClusterRoleAggregationController,
        alias="clusterrole-aggregation",
        workers=5,
    ),
    Entry(
        "garbage-collector-controller",
        "generic-garbage-collector",
        GarbageCollector,
        alias="garbagecollector",
        flag="concurrent-gc-syncs",
        workers=20,
    ),
    Entry(
        "deployment-controller",
        "deployment-controller",
        DeploymentController,
        alias="deployment",
        flag="concurrent-deployment-syncs",
        workers=5,
    ),
    Entry(
        "replicaset-controller",
        "replicaset-controller",
        ReplicaSetController,
        alias="replicaset",
        flag="concurrent-replicaset-syncs",
        workers=5,
    ),
    Entry(
        "replicationcontroller-controller",
        "replication-controller",
        lambda context: ReplicaSetController(context, REPLICATION_CONTROLLER),
        alias="replicationcontroller",
        flag="concurrent-rc-syncs",
        workers=5,
    ),
    Entry(
        "statefulset-controller",
        "statefulset-controller",
        StatefulSetController,
        alias="statefulset",
        flag="concurrent-statefulset-syncs",
        workers=5,
    ),
    Entry(
        "daemonset-controller",
        "daemon-set-controller",
        DaemonSetController,
        alias="daemonset",
        flag="concurrent-daemonset-syncs",
        workers=2,
    ),
    Entry("job-controller", "job-controller", JobController, alias="job", flag="concurrent-job-syncs", workers=5),
    Entry(
        "cronjob-controller",
        "cronjob-controller",
        CronJobController,
        alias="cronjob",
        flag="concurrent-cron-job-syncs",
        workers=5,
    ),
    Entry(
        "ttl-after-finished-controller",
        "ttl-after-finished-controller",
        TtlAfterFinishedController,
        alias="ttl-after-finished",
        flag="concurrent-ttl-after-finished-syncs",
        workers=5,
    ),
    Entry(
        "horizontal-pod-autoscaler-controller",
        "horizontal-pod-autoscaler",
        HorizontalPodAutoscalerController,
        alias="horizontalpodautoscaling",
        flag="concurrent-horizontal-pod-autoscaler-syncs",
        workers=5,
    ),
    Entry(
        "persistentvolume-binder-controller",
        "persistent-volume-binder",
        VolumeBinder,
        alias="persistentvolume-binder",
        workers=5,
    ),
    Entry(
        "persistentvolume-attach-detach-controller",
        "attachdetach-controller",
        AttachDetachController,
        alias="attachdetach",
    ),
    Entry(
        "persistentvolume-expander-controller",
        "expand-controller",
        VolumeExpandController,
        alias="persistentvolume-expander",
        workers=5,
    ),
    Entry(
        "persistentvolumeclaim-protection-controller",
        "pvc-protection-controller",
        ClaimProtectionController,
        alias="pvc-protection",
    ),
    Entry(
        "persistentvolume-protection-controller",
        "pv-protection-controller",
        VolumeProtectionController,
        alias="pv-protection",
    ),
    Entry(
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        AttributesClassProtectionController,
    ),
    Entry(
        "ephemeral-volume-controller",
        "ephemeral-volume-controller",
        EphemeralVolumeController,
        alias="ephemeral-volume",
        flag="concurrent-ephemeralvolume-syncs",
        workers=5,
    ),
    Entry("local-path-provisioner-controller", local_path.CONTROLLER_ACCOUNT, LocalPathController, workers=5),
    Entry(
        "resourceclaim-controller",
        "resource-claim-controller",
        ResourceClaimController,
        alias="resource-claim-controller",
        flag="concurrent-resourceclaim-syncs",
        workers=50,
    ),
    Entry(
        "device-taint-eviction-controller",
        "device-taint-eviction-controller",
        DeviceTaintEvictionController,
        flag="concurrent-device-taint-eviction-syncs",
        workers=8,
    ),
    Entry(
        "storage-version-migrator-controller", "storage-version-migrator-controller", StorageVersionMigrator, workers=5
    ),
    Entry(
        "endpointslice-controller",
        "endpointslice-controller",
        EndpointSliceController,
        alias="endpointslice",
        flag="concurrent-service-endpoint-syncs",
        workers=5,
    ),
    Entry(
        "endpoints-controller",
        "endpoint-controller",
        EndpointController,
        alias="endpoint",
        flag="concurrent-endpoint-syncs",
        workers=5,
    ),
    Entry(
        "endpointslice-mirroring-controller",
        "endpointslicemirroring-controller",
        EndpointSliceMirroringController,
        alias="endpointslicemirroring",
        flag="mirroring-concurrent-service-endpoint-syncs",
        workers=5,
    ),
    Entry("service-cidr-controller", "service-cidrs-controller", ServiceCidrController, workers=5),
    Entry("cluster-dns-controller", "cluster-dns-controller", ClusterDnsController),
    Entry(
        "resourcequota-controller",
        "resourcequota-controller",
        ResourceQuotaController,
        alias="resourcequota",
        flag="concurrent-resource-quota-syncs",
        workers=5,
    ),
    Entry(
        "disruption-controller",
        "disruption-controller",
        DisruptionController,
        alias="disruption",
        flag="concurrent-disruption-syncs",
        workers=5,  # upstream: 1; ours wait more for answers, and evictions for them
    ),
    Entry("node-ipam-controller", "node-controller", NodeIpamController, alias="nodeipam", workers=5),
    Entry("ttl-controller", "ttl-controller", TtlController, alias="ttl", workers=5),
    Entry("node-lifecycle-controller", "node-controller", NodeController, alias="nodelifecycle", workers=8),
    Entry("taint-eviction-controller", "node-controller", TaintEvictionController, workers=8),
    Entry(
        "validatingadmissionpolicy-status-controller",
        "validatingadmissionpolicy-status-controller",
        ValidatingAdmissionPolicyStatusController,
        flag="concurrent-validating-admission-policy-status-syncs",
        workers=5,
    ),
    Entry("pod-garbage-collector-controller", "pod-garbage-collector", PodGarbageCollector, alias="podgc"),
)

#: Names that upstream knows as well, and why nothing runs for them: `--controllers` takes them all the same.
DORMANT = {
    "podgroup-protection-controller": "PodGroups are not served",
    "resourcepoolstatusrequest-controller": "ResourcePoolStatusRequests are not served",
    "storageversion-garbage-collector-controller": "StorageVersions are not served",
    "storage-version-gc": "StorageVersions are not served",
    "selinux-warning-controller": "nodes of Heeler have no SELinux labels",
}


def chosen(names: Sequence[str]) -> list[Entry]:
    """The controllers that --controllers names: `*` all that run by default, `-name` not this one.

    Raises ValueError for unknown names.
    """
    aliases = {entry.alias: entry.name for entry in CONTROLLERS if entry.alias}
    known = {entry.name: None for entry in CONTROLLERS}
    wanted: dict[str, bool] = {}
    for given in names:
        off, name = given.startswith("-"), given.removeprefix("-")
        name = aliases.get(name, name)
        if name in known:
            wanted.setdefault(name, not off)  # of two words on one controller the first counts
        elif name not in ("*", "") and name not in DORMANT:
            raise ValueError(f'"{name}" is not in the list of known controllers')
    everything = "*" in names
    return [entry for entry in CONTROLLERS if wanted.get(entry.name, everything and entry.by_default)]


#: What runs where nobody chooses.
DEFAULT = tuple(chosen(["*"]))


async def start(
    make_client: MakeClient,
    tasks: Tasks,
    *,
    clock: Clock,
    random: Random,
    settings: Settings | None = None,
    controllers: Sequence[Entry] = DEFAULT,
) -> None:
    """Start controllers as tasks; returns at once. They begin to work when their informers have what is there."""
    tasks.spawn(run(make_client, clock=clock, random=random, settings=settings, controllers=controllers), "controllers")


async def run(
    make_client: MakeClient,
    *,
    clock: Clock,
    random: Random,
    settings: Settings | None = None,
    controllers: Sequence[Entry] = DEFAULT,
    ready: Callable[[], None] = lambda: None,
    measures: dict[str, QueueMeasures[str]] | None = None,
) -> None:
    """Run controllers until cancelled. `ready` is called once their informers have what is there.

    What the work queues count is put into `measures` by the queues' names, if it is there.
    """
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
            controller = entry.make(context)
            running.append((entry, controller))
            if measures is not None:
                measures[entry.queue] = QueueMeasures(clock.monotonic)
                controller.queue.measure(measures[entry.queue])
        informers.start(tasks)
        await informers.wait_synced()
        for entry, controller in running:
            spawn(tasks, entry.name, controller, settings.workers or settings.syncs.get(entry.name, entry.workers))
        ready()
        await tasks.wait()
