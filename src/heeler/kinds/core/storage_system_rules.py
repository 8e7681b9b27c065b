"""What is checked of volumes on the storage systems that have fields of their own (today's have CSI drivers)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from heeler.kinds.meta.checks import descending_path, needed, optional_one_of
from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, invalid, not_supported, required
from heeler.objects.value import Object

Rule = Callable[[Object, str], Iterator[Fault]]

_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.[a-zA-Z0-9.-]+:[^,;*&$|\s]+")
_EUI = re.compile(r"eui\.[0-9a-zA-Z]{16}")
_NAA = re.compile(r"naa\.[0-9a-zA-Z]{32}")
_BLOB = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_MANAGED = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_RESERVED = ("kubernetes.io", "k8s.io")
MAX_TENANT = 64


def fields_needed(*keys: str) -> Rule:
    """The source has all these fields."""

    def rule(value: Object, path: str) -> Iterator[Fault]:
        for key in keys:
            yield from needed(value.get(key), f"{path}.{key}")

    return rule


def _partition(value: Object, path: str) -> Iterator[Fault]:
    if not 0 <= value.get("partition", 0) <= 255:
        yield invalid(f"{path}.partition", value["partition"], "must be between 1 and 255, inclusive")


def _gce(value: Object, path: str) -> Iterator[Fault]:
    here = path.removesuffix("gcePersistentDisk") + "persistentDisk"  # as upstream's own type has it
    yield from needed(value.get("pdName"), f"{here}.pdName")
    yield from _partition(value, here)


def _aws(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("volumeID"), f"{path}.volumeID")
    yield from _partition(value, path)


def _git(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("repository"), f"{path}.repository")
    yield from descending_path(value.get("directory", ""), f"{path}.directory")


def iscsi(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("targetPortal"), f"{path}.targetPortal")
    if not value.get("iqn"):
        yield required(f"{path}.iqn")
    else:
        yield from _iscsi_name(value["iqn"], f"{path}.iqn")
    if not 0 <= value.get("lun", 0) <= 255:
        yield invalid(f"{path}.lun", value["lun"], "must be between 0 and 255, inclusive")
    chap = value.get("chapAuthDiscovery") or value.get("chapAuthSession")
    if chap and value.get("secretRef") is None:
        yield required(f"{path}.secretRef")
    if value.get("initiatorName") is not None:
        yield from _iscsi_name(value["initiatorName"], f"{path}.initiatorname")


def _iscsi_name(name: str, path: str) -> Iterator[Fault]:
    """RFC 3720, 3.2.6.3."""
    if not name.startswith(("iqn", "eui", "naa")):
        yield invalid(path, name, "must be valid format starting with iqn, eui, or naa")
    elif not {"i": _IQN, "e": _EUI, "n": _NAA}[name[0]].fullmatch(name):
        yield invalid(path, name, "must be valid format")


def _flocker(value: Object, path: str) -> Iterator[Fault]:
    name, uuid = value.get("datasetName", ""), value.get("datasetUUID", "")
    if not name and not uuid:
        yield required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        yield invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        yield invalid(f"{path}.datasetName", name, "must not contain '/'")


def _quobyte(value: Object, path: str) -> Iterator[Fault]:
    registry, form = value.get("registry", ""), "must be a host:port pair or multiple pairs separated by commas"
    if not registry:
        yield required(f"{path}.registry", form)
    elif len(value.get("tenant", "")) > MAX_TENANT:
        yield required(f"{path}.tenant", f"must be a UUID and may not exceed a length of {MAX_TENANT} characters")
    elif any(pair.count(":") != 1 for pair in registry.split(",")):
        yield invalid(f"{path}.registry", registry, form)
    yield from needed(value.get("volume"), f"{path}.volume")


def _fc(value: Object, path: str) -> Iterator[Fault]:
    targets, wwids, lun = value.get("targetWWNs") or [], value.get("wwids") or [], value.get("lun")
    if not targets and not wwids:
        yield required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both")
    if targets and wwids:
        yield invalid(f"{path}.targetWWNs", targets, "targetWWNs and wwids can not be specified simultaneously")
    if not targets:
        return
    if lun is None:
        yield required(f"{path}.lun", "lun is required if targetWWNs is specified")
    elif not 0 <= lun <= 255:
        yield invalid(f"{path}.lun", lun, "must be between 0 and 255, inclusive")


def _flex(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("driver"), f"{path}.driver")
    for key in sorted(value.get("options") or {}):
        domain = key.partition("/")[0].lower()
        if any(domain == own or domain.endswith(f".{own}") for own in _RESERVED):
            yield invalid(f"{path}.options[{key}]", key, "kubernetes.io and k8s.io namespaces are reserved")


def _azure_disk(value: Object, path: str) -> Iterator[Fault]:
    kind, address = value.get("kind"), value.get("diskURI", "")
    yield from needed(value.get("diskName"), f"{path}.diskName")
    yield from needed(address, f"{path}.diskURI")
    yield from optional_one_of(value.get("cachingMode"), ("None", "ReadOnly", "ReadWrite"), f"{path}.cachingMode")
    yield from optional_one_of(kind, ("Dedicated", "Managed", "Shared"), f"{path}.kind")
    start, form = ("/subscriptions/", _MANAGED) if kind == "Managed" else ("https://", _BLOB)
    if not address.startswith(start):
        yield not_supported(f"{path}.diskURI", address, (form,))


def _secret_name(value: Object, path: str, *, namespace: bool) -> Iterator[Fault]:
    reference = value.get("secretRef")
    for key in ("name", "namespace") if namespace else ("name",):
        if reference is not None and not reference.get(key):
            yield required(f"{path}.secretRef.{key}")


def _cinder(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("volumeID"), f"{path}.volumeID")
    yield from _secret_name(value, path, namespace=False)


def _cinder_of_volume(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("volumeID"), f"{path}.volumeID")
    yield from _secret_name(value, path, namespace=True)


def _storageos(value: Object, path: str, *, namespace: bool = False) -> Iterator[Fault]:
    name = value.get("volumeName", "")
    if not name:
        yield required(f"{path}.volumeName")
    else:
        yield from each(f"{path}.volumeName", name, names.label(name))
    if value.get("volumeNamespace"):
        yield from each(f"{path}.volumeNamespace", value["volumeNamespace"], names.label(value["volumeNamespace"]))
    yield from _secret_name(value, path, namespace=namespace)


def _azure_file_of_volume(value: Object, path: str) -> Iterator[Fault]:
    yield from fields_needed("secretName", "shareName")(value, path)
    if value.get("secretNamespace") == "":
        yield required(f"{path}.secretNamespace")


def _glusterfs_of_volume(value: Object, path: str) -> Iterator[Fault]:
    yield from fields_needed("endpoints", "path")(value, path)
    namespace = value.get("endpointsNamespace")
    if namespace is not None and names.label(namespace):
        words = "if the endpointnamespace is set, it must be a valid namespace name"
        yield invalid(f"{path}.endpointsNamespace", namespace, words)


def _iscsi_of_volume(value: Object, path: str) -> Iterator[Fault]:
    """As of pods', in other words."""
    for fault in iscsi(value, path):
        message = fault.message if not fault.field.endswith(".iqn") else fault.message.partition(" starting with")[0]
        yield replace(fault, message=message)


#: The sources of a pod's volumes.
SYSTEMS: dict[str, Rule] = {
    "gitRepo": _git,
    "gcePersistentDisk": _gce,
    "awsElasticBlockStore": _aws,
    "iscsi": iscsi,
    "glusterfs": fields_needed("endpoints", "path"),
    "flocker": _flocker,
    "rbd": fields_needed("monitors", "image"),
    "cinder": _cinder,
    "cephfs": fields_needed("monitors"),
    "quobyte": _quobyte,
    "fc": _fc,
    "flexVolume": _flex,
    "azureFile": fields_needed("secretName", "shareName"),
    "vsphereVolume": fields_needed("volumePath"),
    "photonPersistentDisk": fields_needed("pdID"),
    "portworxVolume": fields_needed("volumeID"),
    "azureDisk": _azure_disk,
    "storageos": _storageos,
    "scaleIO": fields_needed("gateway", "system", "volumeName"),
}

#: Those of PersistentVolumes, whose references name a namespace as well.
SYSTEMS_OF_VOLUMES: dict[str, Rule] = {
    **{key: rule for key, rule in SYSTEMS.items() if key != "gitRepo"},
    "iscsi": _iscsi_of_volume,
    "cinder": _cinder_of_volume,
    "storageos": lambda value, path: _storageos(value, path, namespace=True),
    "azureFile": _azure_file_of_volume,
    "glusterfs": _glusterfs_of_volume,
}
