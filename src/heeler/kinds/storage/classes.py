"""StorageClass, VolumeAttributesClass, VolumeAttachment.

https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/storage-class-v1/ and its neighbours.
"""

from __future__ import annotations

from heeler.kinds.kind import Column, Own, SubresourceOwn, status_only
from heeler.kinds.printing import AGE, NAME, at, text_at
from heeler.kinds.storage import rules
from heeler.objects.value import Object


def _default(storage_class: Object, version: str) -> None:
    storage_class.setdefault("reclaimPolicy", "Delete")
    storage_class.setdefault("volumeBindingMode", "Immediate")


STORAGE_CLASS = Own(
    "storage.k8s.io",
    "StorageClass",
    rules=rules.storage_class,
    update_rules=rules.storage_class_update,
    warnings=rules.storage_class_warnings,
    default=_default,
    columns=(
        NAME,
        Column("Provisioner", text_at("provisioner"), about="storage.v1.StorageClass.provisioner"),
        Column("ReclaimPolicy", text_at("reclaimPolicy", "Delete"), about="storage.v1.StorageClass.reclaimPolicy"),
        Column(
            "VolumeBindingMode",
            text_at("volumeBindingMode", "Immediate"),
            about="storage.v1.StorageClass.volumeBindingMode",
        ),
        Column(
            "AllowVolumeExpansion",
            at("allowVolumeExpansion", False),
            about="storage.v1.StorageClass.allowVolumeExpansion",
        ),
        AGE,
    ),
)

VOLUME_ATTRIBUTES_CLASS = Own(
    "storage.k8s.io",
    "VolumeAttributesClass",
    rules=rules.attributes_class,
    update_rules=rules.attributes_class_update,
    columns=(
        NAME,
        Column("DriverName", text_at("driverName"), about="storage.v1.VolumeAttributesClass.driverName"),
        AGE,
    ),
)


def _prepare_attachment(attachment: Object) -> None:
    attachment["status"] = {"attached": False}


VOLUME_ATTACHMENT = Own(
    "storage.k8s.io",
    "VolumeAttachment",
    rules=rules.attachment,
    update_rules=rules.attachment_update,
    status=True,
    prepare_create=_prepare_attachment,
    allow_unconditional_update=False,
    columns=(
        NAME,
        Column(
            "Attacher", text_at("spec.attacher"), "string", "name", about="storage.v1.VolumeAttachmentSpec.attacher"
        ),
        Column(
            "PV",
            text_at("spec.source.persistentVolumeName"),
            about="storage.v1.VolumeAttachmentSource.persistentVolumeName",
        ),
        Column("Node", text_at("spec.nodeName"), about="storage.v1.VolumeAttachmentSpec.nodeName"),
        Column("Attached", at("status.attached", False), "boolean", about="storage.v1.VolumeAttachmentStatus.attached"),
        AGE,
    ),
    subresources={"status": SubresourceOwn(status_only)},
)
