"""A pod's volumes that stand for claims, followed to the folder of the volume that is bound. Pure.

A claim's volume becomes a volume of the kind `persistent`, which only the node knows:
{"name", "persistent": {"path", "type", "readOnly", "group", "make"}}; `type` is hostPath's, `group`: the pod's fsGroup
is given to it, `make`: the node makes the folder itself. What keeps a claim from being used is told in upstream's words.
Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from pathlib import Path

from heeler.kubelet.pods.payload import VolumeError
from heeler.kubelet.pods.views import all_containers, spec_of
from heeler.kubelet.sources import Fetched, claim_name
from heeler.objects.value import Object, labels_of, meta, name_of, namespace_of, uid_of
from heeler.workloads import local_path
from heeler.workloads.affinity import term_matches

#: Kinds of persistent volumes that are a folder of the node.
SOURCES = ("hostPath", "local")


class ClaimError(VolumeError):
    """A claim or its volume can't be used now. The text is the whole Event's."""


def has_claims(pod: Object) -> bool:
    return any(claim_name(pod, volume) for volume in spec_of(pod).get("volumes") or [])


def resolve(pod: Object, fetched: Fetched, node: Object, local_folder: Path) -> Object:
    """The pod with every claim's volume replaced by a `persistent` one. Raises ClaimError."""
    if not has_claims(pod):
        return pod
    volumes, failed = [], {}
    for volume in spec_of(pod).get("volumes") or []:
        try:
            volumes.append(_one(pod, volume, fetched, node, local_folder))
        except _Unprocessed as error:
            failed[volume["name"]] = str(error)
    if failed:
        names = " ".join(failed)
        raise ClaimError(
            f"Unable to attach or mount volumes: unmounted volumes=[{names}], unattached volumes=[], "
            f"failed to process volumes=[{names}]: {', '.join(failed.values())}"
        )
    return {**pod, "spec": {**spec_of(pod), "volumes": volumes}}


class _Unprocessed(Exception):
    """Why a claim can't even be followed to its volume."""


def _one(pod: Object, volume: Object, fetched: Fetched, node: Object, local_folder: Path) -> Object:
    name = claim_name(pod, volume)
    if not name:
        return volume
    where = f"{namespace_of(pod)}/{name}"
    head = f"error processing PVC {where}: "
    claim = fetched.objects.get(("claim", name))
    if claim is None:
        raise _Unprocessed(f'{head}failed to fetch PVC from API server: persistentvolumeclaims "{name}" not found')
    if "ephemeral" in volume and not _owned(claim, pod):
        raise _Unprocessed(f"PVC {where} was not created for pod {namespace_of(pod)}/{name_of(pod)} (pod is not owner)")
    if meta(claim).get("deletionTimestamp"):
        raise _Unprocessed(f"{head}PVC is being deleted")
    bound = (claim.get("spec") or {}).get("volumeName") or ""
    if (claim.get("status") or {}).get("phase") != "Bound" or not bound:
        raise _Unprocessed(f"{head}PVC is not bound")
    found = fetched.objects.get(("volume", bound))
    if found is None:
        raise _Unprocessed(f'{head}failed to fetch PV {bound} from API server: persistentvolumes "{bound}" not found')
    reference = (found.get("spec") or {}).get("claimRef") or {}
    if reference.get("uid") != uid_of(claim):
        raise _Unprocessed(
            f"{head}found PV object {bound} but its pv.Spec.ClaimRef.UID {reference.get('uid', '')} "
            f"does not point to claim.UID {uid_of(claim)}"
        )
    _check_mode(pod, volume, claim)
    read_only = bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))
    return {"name": volume["name"], "persistent": _folder(found, node, local_folder, read_only)}


def _owned(claim: Object, pod: Object) -> bool:
    owners = meta(claim).get("ownerReferences") or ()
    return any(owner.get("controller") and owner.get("uid") == uid_of(pod) for owner in owners)


def _check_mode(pod: Object, volume: Object, claim: Object) -> None:
    """A block device can't be mounted as a folder."""
    if (claim.get("spec") or {}).get("volumeMode") != "Block":
        return
    mounted = any(m["name"] == volume["name"] for c in all_containers(pod) for m in c.get("volumeMounts") or [])
    where = "volumeMounts" if mounted else "volumeDevices"
    text = f"volume {volume['name']} has volumeMode Block, but is specified in {where}"
    raise _Unprocessed(text if mounted else f"volume {volume['name']}: volumeMode Block is not supported by this node")


def _folder(found: Object, node: Object, local_folder: Path, read_only: bool) -> Object:
    """Where a PersistentVolume is on the node. Raises ClaimError."""
    spec, name = found.get("spec") or {}, name_of(found)
    kind = next((source for source in SOURCES if source in spec), "")
    if not kind:
        names = ", ".join(key for key, value in spec.items() if isinstance(value, dict) and key not in _NOT_SOURCES)
        raise ClaimError(
            f'MountVolume.SetUp failed for volume "{name}" : volumes of type {names} are not supported by this node'
        )
    required = (spec.get("nodeAffinity") or {}).get("required")
    if required is not None:
        labels, terms = labels_of(node), required.get("nodeSelectorTerms") or []
        if not any(term_matches(term, labels, name_of(node)) for term in terms):
            raise ClaimError(
                f'MountVolume.NodeAffinity check failed for volume "{name}" : no matching NodeSelectorTerms'
            )
    made_here = local_path.is_ours(found)
    path = str(local_folder / name) if made_here else str(spec[kind].get("path", ""))
    if kind == "local" and not made_here and not Path(path).exists():
        raise ClaimError(
            f'MountVolume.NewMounter initialization failed for volume "{name}" : path "{path}" does not exist'
        )
    return {
        "path": path,
        "type": str(spec[kind].get("type") or "") if kind == "hostPath" and not made_here else "",
        "readOnly": read_only,
        "group": kind == "local" or made_here,
        "make": made_here,
        "volume": name,
    }


_NOT_SOURCES = ("capacity", "claimRef", "nodeAffinity")
