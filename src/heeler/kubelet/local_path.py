"""The node's half of the local provisioner: the folder of a volume that is being deleted goes, then its finalizer.

The folder itself is made when a pod uses the volume (`pods/volumes.py`). Which volumes, and what the controller does:
`heeler.workloads.local_path`.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from heeler.base.clock import Clock
from heeler.base.files import remove_tree
from heeler.base.together import together
from heeler.client.client import Client
from heeler.network.follow import Mirror
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object, meta, name_of
from heeler.workloads import local_path

log = logging.getLogger(__name__)

VOLUMES = GroupVersionResource("", "v1", "persistentvolumes")
#: Seconds between attempts when a folder can't be removed or the API server can't be told; after somebody else's change.
RETRY, SOON = 10.0, 0.1


class LocalVolumes:
    """Keeps watch on the volumes that stand on one node. `run` until cancelled."""

    def __init__(self, client: Client, clock: Clock, node: str, folder: Path) -> None:
        self._client, self._clock, self._node, self._folder = client, clock, node, folder
        self._wake = asyncio.Event()
        self._mirror = Mirror(client, VOLUMES, clock, self._changed, label_selector=f"{local_path.NODE_LABEL}={node}")

    async def run(self) -> None:
        await together(self._mirror.run(), self._remove())

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and local_path.to_be_removed(new, self._node):
            self._wake.set()

    async def _remove(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            wait = 0.0
            for volume in [v for v in self._mirror.items.values() if local_path.to_be_removed(v, self._node)]:
                try:
                    await self._remove_one(volume)
                except (StatusError, OSError, ValueError) as error:
                    # Somebody else changed it just now (their finalizer goes too): its newer form is here in a moment.
                    soon = isinstance(error, StatusError) and error.code == 409
                    if not soon:
                        log.warning("volume %s is not removed: %s", name_of(volume), error)
                    wait = max(wait, SOON if soon else RETRY)
            if wait:
                await self._clock.sleep(wait)
                self._wake.set()

    async def _remove_one(self, volume: Object) -> None:
        path = volume_folder(self._folder, name_of(volume))
        if path.exists():
            await asyncio.to_thread(remove_tree, path)
        left = [f for f in meta(volume).get("finalizers") or () if f != local_path.FINALIZER]
        changes = {"metadata": {"finalizers": left or None, "resourceVersion": meta(volume).get("resourceVersion")}}
        try:
            await self._client.patch(VOLUMES, name_of(volume), changes)
        except StatusError as error:
            if error.code != 404:
                raise


def volume_folder(folder: Path, name: str) -> Path:
    """A volume's folder. Raises ValueError for a name that would lead elsewhere."""
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"a volume can't be called {name!r}")
    return folder / name
