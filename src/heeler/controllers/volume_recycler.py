"""Volumes of the (deprecated) reclaim policy Recycle: a pod empties them, then they are free for the next claim. Pure.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/#recycle
"""

from __future__ import annotations

import math

from heeler.objects.value import Object, name_of
from heeler.workloads import volumes

NAMESPACE, PREFIX = "default", "recycler-for-"
IMAGE = "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6"
SCRUB = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'
#: Kind of volume -> seconds that emptying may take at least, and for each Gi.
SECONDS = {"hostPath": (60, 30), "nfs": (300, 30)}
GI = 2**30


def kind_of(volume: Object) -> str:
    """What kind of volume that can be emptied it is; "" if it can't."""
    return next((kind for kind in SECONDS if volume["spec"].get(kind) is not None), "")


def pod_key(volume: Object) -> str:
    return f"{NAMESPACE}/{PREFIX}{name_of(volume)}"


def volume_of(pod: Object) -> str:
    """The volume that a pod empties; "" if it isn't there for that."""
    mine = pod["metadata"].get("namespace") == NAMESPACE and name_of(pod).startswith(PREFIX)
    return name_of(pod).removeprefix(PREFIX) if mine else ""


def pod_for(volume: Object) -> Object:
    """The pod that empties a volume. The source is the volume's own, so that it needs no claim."""
    kind = kind_of(volume)
    least, each = SECONDS[kind]
    size = math.ceil(volumes.capacity(volume).value / GI)
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": f"{PREFIX}{name_of(volume)}", "namespace": NAMESPACE},
        "spec": {
            "activeDeadlineSeconds": max(least, each * size),
            "restartPolicy": "Never",
            "volumes": [{"name": "vol", kind: volume["spec"][kind]}],
            "containers": [
                {
                    "name": "pv-recycler",
                    "image": IMAGE,
                    "command": ["/bin/sh"],
                    "args": ["-c", SCRUB],
                    "volumeMounts": [{"name": "vol", "mountPath": "/scrub"}],
                }
            ],
        },
    }


def failure_of(pod: Object) -> str:
    """Why a pod didn't do it."""
    told = (pod.get("status") or {}).get("message")
    text = f"pod failed, pod.Status.Message {told}" if told else "pod failed, pod.Status.Message unknown"
    return f"failed to recycle volume: {text}"
