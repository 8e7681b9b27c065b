"""Where releases' records are kept: Secrets (Helm's default), ConfigMaps, or this process' memory (for tests).

Source: what helm 4.3 stored and asked; https://helm.sh/docs/topics/advanced/#storage-backends
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from heeler.client.client import Client
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.packages.releases.records import RecordError, Release, decode, encode, newest_first

OWNER = "helm"
SECRET_TYPE = "helm.sh/release.v1"
#: Labels that say what a record is; the user's own stand beside them.
SYSTEM_LABELS = ("name", "owner", "status", "version", "createdAt", "modifiedAt")
#: Records of a page when all are listed.
PAGE = 250


class StorageError(Exception):
    """The records can't be read or written; in Helm's words."""


class ReleaseNotFound(StorageError):
    def __init__(self) -> None:
        super().__init__("release: not found")


class NoDeployed(StorageError):
    def __init__(self, name: str) -> None:
        super().__init__(f'"{name}" has no deployed releases')


class Driver(Protocol):
    """One place for records. All methods raise StorageError, `get`, `update` and `delete` ReleaseNotFound."""

    async def get(self, name: str, version: int) -> Release: ...

    async def find(self, **labels: str) -> list[Release]:
        """The records with these labels (name, status, …), in no order; of all namespaces where the driver has none."""
        ...

    async def create(self, release: Release) -> None: ...

    async def update(self, release: Release) -> None: ...

    async def delete(self, release: Release) -> None: ...


class Storage:
    """Releases as the commands ask for them. `most`: revisions of a release that are kept, 0 for all."""

    def __init__(self, driver: Driver, most: int = 0) -> None:
        self.driver, self.most = driver, most

    async def get(self, name: str, version: int) -> Release:
        return await self.driver.get(name, version)

    async def all(self) -> list[Release]:
        """Every record."""
        return await self.driver.find()

    async def history(self, name: str) -> list[Release]:
        """A release's revisions, the newest first. Raises ReleaseNotFound."""
        found = newest_first(await self.driver.find(name=name))
        if not found:
            raise ReleaseNotFound
        return found

    async def last(self, name: str) -> Release:
        """The newest revision, whatever it is in. Raises ReleaseNotFound."""
        return (await self.history(name))[0]

    async def deployed(self, name: str) -> Release:
        """The newest revision that is deployed. Raises NoDeployed."""
        found = await self.every_deployed(name)
        if not found:
            raise NoDeployed(name)
        return found[0]

    async def every_deployed(self, name: str) -> list[Release]:
        """All revisions that are deployed, the newest first: more than one after an accident."""
        return newest_first(await self.driver.find(name=name, status="deployed"))

    async def create(self, release: Release) -> None:
        """Keep a new revision; the oldest ones go, but never the one that is deployed."""
        if self.most > 0:
            await self._forget(release.name, self.most - 1)
        await self.driver.create(release)

    async def update(self, release: Release) -> None:
        await self.driver.update(release)

    async def delete(self, release: Release) -> None:
        await self.driver.delete(release)

    async def _forget(self, name: str, keep: int) -> None:
        found = newest_first(await self.driver.find(name=name))
        too_many = len(found) - keep
        if too_many <= 0:
            return
        deployed = next((one.version for one in found if one.status == "deployed"), 0)
        old = [one for one in reversed(found) if one.version != deployed]
        for release in old[:too_many]:
            await self.driver.delete(release)


class Memory:
    """Records in this process, by namespace; `namespace` "" is all of them."""

    def __init__(self, namespace: str, releases: Iterable[Release] = ()) -> None:
        self._namespace = namespace
        self._kept: dict[tuple[str, str], Release] = {(r.namespace, r.key): r for r in releases}

    async def get(self, name: str, version: int) -> Release:
        for release in self._own():
            if (release.name, release.version) == (name, version):
                return release
        raise ReleaseNotFound

    async def find(self, **labels: str) -> list[Release]:
        return [one for one in self._own() if all(_labels(one).get(k) == v for k, v in labels.items())]

    async def create(self, release: Release) -> None:
        if (release.namespace, release.key) in self._kept:
            raise StorageError("release: already exists")
        self._kept[release.namespace, release.key] = release

    async def update(self, release: Release) -> None:
        if (release.namespace, release.key) not in self._kept:
            raise ReleaseNotFound
        self._kept[release.namespace, release.key] = release

    async def delete(self, release: Release) -> None:
        if self._kept.pop((release.namespace, release.key), None) is None:
            raise ReleaseNotFound

    def _own(self) -> list[Release]:
        return [one for one in self._kept.values() if self._namespace in ("", one.namespace)]


class InCluster:
    """Records as objects of a cluster, one an object. `namespace` "" lists those of all namespaces."""

    resource: GroupVersionResource
    kind: str

    def __init__(self, client: Client, namespace: str, now: Callable[[], float]) -> None:
        self._client, self._namespace, self._now = client, namespace, now

    def _packed(self, text: str) -> Object:
        raise NotImplementedError

    def _text(self, obj: Object) -> str:
        raise NotImplementedError

    async def get(self, name: str, version: int) -> Release:
        """One record, with the user's own labels only."""
        key = f"sh.helm.release.v1.{name}.v{version}"
        try:
            found = self._read(await self._client.get(self.resource, key, self._namespace))
            own = {label: value for label, value in found.labels.items() if label not in SYSTEM_LABELS}
            return replace(found, labels=own)
        except StatusError as error:
            raise _failure(f"get: failed to get {key!r}", error) from error
        except RecordError as error:
            raise StorageError(f'get: failed to decode data "{key}": {error}') from error

    async def find(self, **labels: str) -> list[Release]:
        wanted = {**labels, "owner": OWNER}
        selector = ",".join(f"{key}={value}" for key, value in wanted.items())
        out: list[Release] = []
        after = ""
        try:
            while True:
                page = await self._client.list(
                    self.resource, self._namespace or None, label_selector=selector, limit=PAGE, continue_token=after
                )
                for obj in page.items:
                    try:
                        out.append(self._read(obj))
                    except RecordError:
                        continue  # one broken record doesn't hide the others
                after = page.continue_token
                if not after:
                    return out
        except StatusError as error:
            raise StorageError(f"list: failed to list: {error.message}") from error

    async def create(self, release: Release) -> None:
        obj = self._object(release, {"createdAt": str(int(self._now()))})
        try:
            await self._client.create(self.resource, obj, release.namespace)
        except StatusError as error:
            if error.code == 409:
                raise StorageError("release: already exists") from error
            raise StorageError(f"create: failed to create: {error.message}") from error

    async def update(self, release: Release) -> None:
        obj = self._object(release, {"modifiedAt": str(int(self._now()))})
        try:
            await self._client.update(self.resource, obj)
        except StatusError as error:
            raise _failure("update: failed to update", error) from error

    async def delete(self, release: Release) -> None:
        try:
            await self._client.delete(self.resource, release.key, release.namespace)
        except StatusError as error:
            raise _failure(f"delete: failed to delete {release.key!r}", error) from error

    def _object(self, release: Release, times: Mapping[str, str]) -> Object:
        metadata = {"name": release.key, "namespace": release.namespace, "labels": {**_labels(release), **times}}
        return {"apiVersion": "v1", "kind": self.kind, "metadata": metadata, **self._packed(encode(release))}

    def _read(self, obj: Object) -> Release:
        return decode(self._text(obj), obj["metadata"].get("labels") or {})


class Secrets(InCluster):
    resource, kind = GroupVersionResource("", "v1", "secrets"), "Secret"

    def _packed(self, text: str) -> Object:
        return {"type": SECRET_TYPE, "data": {"release": base64.b64encode(text.encode()).decode()}}

    def _text(self, obj: Object) -> str:
        # what is no text is no base64 either, which decoding tells
        return base64.b64decode((obj.get("data") or {}).get("release") or "").decode("utf-8", "surrogateescape")


class ConfigMaps(InCluster):
    resource, kind = GroupVersionResource("", "v1", "configmaps"), "ConfigMap"

    def _packed(self, text: str) -> Object:
        return {"data": {"release": text}}

    def _text(self, obj: Object) -> str:
        return str((obj.get("data") or {}).get("release") or "")


def _labels(release: Release) -> dict[str, str]:
    # what was found with its labels keeps the times of its record, as Helm's does
    own = {key: value for key, value in release.labels.items() if key != "createdAt"}
    return {**own, "name": release.name, "owner": OWNER, "status": release.status, "version": str(release.version)}


def _failure(words: str, error: StatusError) -> StorageError:
    return ReleaseNotFound() if error.code == 404 else StorageError(f"{words}: {error.message}")
