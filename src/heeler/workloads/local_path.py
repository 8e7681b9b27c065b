"""What the provisioner of local volumes and the nodes' agents agree on: names, and which volume is whose. Pure.

The controller makes a PersistentVolume (`local` or `hostPath`) with the claim in `claimRef`, an affinity to the node that
was chosen, the finalizer, the annotation of its provisioner and the label of its node. The node makes the folder when a
pod uses the volume, removes it with all in it once the volume is being deleted, and then takes the finalizer away.
The folder's parent stands in an annotation of the Node. https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from heeler.objects.value import Object, labels_of, meta, name_of

PROVISIONER = "heeler.dev/local-path"
FINALIZER = "heeler.dev/local-path"
#: The service account (of kube-system) of the controller.
CONTROLLER_ACCOUNT = "local-path-provisioner"
#: The volume's annotation that names its provisioner.
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
#: The volume's label that names its node: a node may list only the volumes that carry its own name.
NODE_LABEL = "heeler.dev/local-path-node"
#: The Node's annotation: the absolute folder below which it keeps such volumes, each in a folder of the volume's name.
FOLDER_ANNOTATION = "heeler.dev/local-path"
#: What the path says of a node that doesn't tell its folder (a simulated one).
DEFAULT_FOLDER = "/var/lib/heeler/local-path"


def folder_of(node: Object) -> str:
    """The folder of a node's volumes."""
    return str((meta(node).get("annotations") or {}).get(FOLDER_ANNOTATION) or DEFAULT_FOLDER)


def path_on(node: Object, volume: str) -> str:
    """Where a volume called `volume` is on the node."""
    return f"{folder_of(node).rstrip('/')}/{volume}"


def is_ours(volume: Object) -> bool:
    """Whether the provisioner made the PersistentVolume."""
    return (meta(volume).get("annotations") or {}).get(PROVISIONED_BY) == PROVISIONER


def pinned_to(volume: Object, node: str) -> bool:
    """Whether the PersistentVolume is the provisioner's and stands on this node."""
    return is_ours(volume) and labels_of(volume).get(NODE_LABEL) == node


def to_be_removed(volume: Object, node: str) -> bool:
    """Whether the node has to remove the volume's folder now."""
    metadata = meta(volume)
    held = FINALIZER in (metadata.get("finalizers") or ())
    return pinned_to(volume, node) and bool(metadata.get("deletionTimestamp")) and held and bool(name_of(volume))


def released(before: Object, after: Object) -> bool:
    """Whether a change does nothing but take the finalizer away: all that a node may do to a volume."""
    wanted = [f for f in meta(before).get("finalizers") or () if f != FINALIZER]
    left = list(meta(after).get("finalizers") or ())
    return left == wanted and _rest(before) == _rest(after)


def _rest(volume: Object) -> Object:
    own = ("finalizers", "resourceVersion", "managedFields", "generation")
    return {**volume, "metadata": {k: v for k, v in meta(volume).items() if k not in own}}
