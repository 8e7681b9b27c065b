"""What is checked of a pod's volumes. https://kubernetes.io/docs/concepts/storage/volumes/"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from heeler.kinds.core.projected_rules import projected
from heeler.kinds.core.storage_system_rules import SYSTEMS
from heeler.kinds.core.volume_file_rules import downward_file, file_items, file_mode
from heeler.kinds.meta.checks import needed, no_backsteps, numbered, one_of
from heeler.kinds.meta.objectmeta import each
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid, not_supported, required
from heeler.objects.quantities import parse
from heeler.objects.value import Object

HOST_PATH_TYPES = (
    *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"),
)
Rule = Callable[[Object, str], Iterator[Fault]]


def volumes(
    rows: list[Object] | None, path: str, before: tuple[str, ...] = ()
) -> tuple[dict[str, Object], list[Fault]]:
    """`(good ones by name, faults)` of a pod's volumes.

    `before`: names of volumes that come before them and in the place of those that have such a name."""
    good: dict[str, Object] = {}
    faults: list[Fault] = []
    for at, name in enumerate(before):
        here = f"{path}[{at}]"
        if not name:
            faults += [required(f"{here}.persistentVolumeClaim.claimName"), required(f"{here}.name")]
        else:
            faults += each(f"{here}.name", name, names.label(name))
    own = [volume for volume in rows or () if volume.get("name") not in before]
    for at, volume in enumerate(own, len(before)):
        here, name = f"{path}[{at}]", volume.get("name", "")
        wrong = list(source(volume, here, name))
        if not name:
            wrong.append(required(f"{here}.name"))
        else:
            wrong += each(f"{here}.name", name, names.label(name))
        if name in good:
            wrong.append(duplicate(f"{here}.name", name))
        if not wrong:
            good[name] = volume
        faults += wrong
    return good, faults


def source(volume: Object, path: str, name: str = "") -> Iterator[Fault]:
    """Exactly one source, and what holds for it."""
    found = 0
    for key, rule in SOURCES.items():
        if key not in volume:
            continue
        if found:
            yield forbidden(f"{path}.{key}", "may not specify more than 1 volume type")
        else:
            found += 1
            yield from rule(volume[key], f"{path}.{key}")
    if not found:
        yield required(path, "must specify a volume type")


def _empty_dir(value: Object, path: str) -> Iterator[Fault]:
    if value.get("sizeLimit") is not None and parse(value["sizeLimit"]).nano < 0:
        yield forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def host_path(value: Object, path: str) -> Iterator[Fault]:
    if not value.get("path"):
        yield required(f"{path}.path")
        return
    yield from no_backsteps(value["path"], f"{path}.path")
    if value.get("type") is not None and value["type"] not in HOST_PATH_TYPES:
        yield not_supported(f"{path}.type", value["type"], HOST_PATH_TYPES)


def _secret(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("secretName"), f"{path}.secretName")
    yield from file_mode(value.get("defaultMode"), f"{path}.defaultMode")
    yield from file_items(value.get("items"), f"{path}.items")


def _config_map(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("name"), f"{path}.name")
    yield from file_mode(value.get("defaultMode"), f"{path}.defaultMode")
    yield from file_items(value.get("items"), f"{path}.items")


def nfs(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("server"), f"{path}.server")
    yield from needed(value.get("path"), f"{path}.path")
    if not value.get("path", "").startswith("/"):
        yield invalid(f"{path}.path", value.get("path", ""), "must be an absolute path")


def _claim(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("claimName"), f"{path}.claimName")


def _downward(value: Object, path: str) -> Iterator[Fault]:
    yield from file_mode(value.get("defaultMode"), f"{path}.defaultMode")
    for _, row in numbered(value.get("items")):
        yield from downward_file(row, path)


def csi_driver_name(name: str, path: str) -> Iterator[Fault]:
    if not name:
        yield required(path)
        return
    if len(name) > 63:
        yield Fault("FieldValueTooLong", "Too long: may not be more than 63 bytes", path)
    yield from each(path, name, names.subdomain(name.lower()))


def _csi(value: Object, path: str) -> Iterator[Fault]:
    yield from csi_driver_name(value.get("driver", ""), f"{path}.driver")
    reference = value.get("nodePublishSecretRef")
    if reference is not None and not reference.get("name"):
        yield required(f"{path}.nodePublishSecretRef.name")


def _ephemeral(value: Object, path: str) -> Iterator[Fault]:
    from heeler.kinds.core.claim_rules import claim_spec

    template = value.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{path}.volumeClaimTemplate")
    else:
        yield from claim_spec(template.get("spec") or {}, f"{path}.volumeClaimTemplate.spec")


def _image(value: Object, path: str) -> Iterator[Fault]:
    yield from needed(value.get("reference"), f"{path}.reference")
    yield from one_of(value.get("pullPolicy"), ("Always", "IfNotPresent", "Never"), f"{path}.pullPolicy")


_OWN: dict[str, Rule] = {
    "emptyDir": _empty_dir,
    "hostPath": host_path,
    "secret": _secret,
    "nfs": nfs,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward,
    "configMap": _config_map,
    "projected": projected,
    "csi": _csi,
    "ephemeral": _ephemeral,
    "image": _image,
}
#: In the order in which upstream looks at them: of several, the first counts.
_ORDER = """
emptyDir hostPath gitRepo gcePersistentDisk awsElasticBlockStore secret nfs iscsi glusterfs flocker
persistentVolumeClaim rbd cinder cephfs quobyte downwardAPI fc flexVolume configMap azureFile vsphereVolume
photonPersistentDisk portworxVolume azureDisk storageos projected scaleIO csi ephemeral image
""".split()
SOURCES: dict[str, Rule] = {key: {**SYSTEMS, **_OWN}[key] for key in _ORDER}
