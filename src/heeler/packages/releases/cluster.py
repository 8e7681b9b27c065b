"""A release's objects in a cluster: found out where they live, applied, deleted, waited for.

Works on any Kubernetes through `heeler.client`. What fails is a `ClusterError` in Helm's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from heeler.client.client import Client
from heeler.client.discovery import Discovery, discover
from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource, Object
from heeler.packages.objects import KUBE_VERSION
from heeler.packages.releases import ready
from heeler.packages.releases.ready import Status

MANAGER = "helm"
#: Seconds between two looks at objects whose kinds can't be watched.
LOOK_SECONDS = 2.0
#: Events of a watch that are held until they are looked at.
_HELD = 1000


class ClusterError(Exception):
    """The cluster refused something, or can't be reached."""


class Unready(ClusterError):
    """Not all is as it should be when the time is over."""


#: (group, kind, namespace, name)
Key = tuple[str, str, str | None, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One object of a manifest, and where it lives. `namespace` is None for what belongs to no namespace."""

    resource: GroupVersionResource
    kind: str
    namespace: str | None
    name: str
    object: Object

    @property
    def key(self) -> Key:
        """What makes it the same object in another manifest, whatever version that is written in."""
        return (self.resource.group, self.kind, self.namespace, self.name)

    @property
    def shown(self) -> str:
        """`default/web apps/v1, Kind=Deployment`, as Helm names it in errors."""
        place = f"{self.namespace or ''}/{self.name}" if self.namespace else f"/{self.name}"
        version = self.resource.api_version if self.resource.group else f"/{self.resource.version}"
        return f"{place} {version}, Kind={self.kind}"


class Cluster:
    """See the module. `namespace` is where an object goes that names none; `server` is an address for messages.

    Close the client yourself.
    """

    def __init__(self, client: Client, namespace: str, server: str = "") -> None:
        self.client, self.namespace, self._server = client, namespace, server
        self._known: Discovery | None = None

    async def version(self) -> Object:
        """What /version says. Raises ClusterError where the cluster can't be reached."""
        try:
            status, body = await self.client.request("GET", "/version")
        except OSError as error:
            raise self._unreachable("GET", "/version", error) from error
        if status != 200:
            raise ClusterError(f"kubernetes cluster unreachable: {_message(body, status)}")
        found: Object = orjson.loads(body)
        return found

    async def api_versions(self) -> list[str]:
        """Group versions, and each with its kinds: what templates see as `.Capabilities.APIVersions`."""
        found = await self._discovery()
        names: dict[str, None] = {}
        for one in found.resources:
            names[one.name.api_version] = None
        for one in found.resources:
            names[f"{one.name.api_version}/{one.kind}"] = None
        return list(names)

    async def look_again(self) -> None:
        """Kinds have come or gone: ask anew what the server has. Raises ClusterError."""
        await self._discovery(anew=True)

    async def targets(self, objects: Iterable[Object]) -> list[Target]:
        """Where objects live. Raises ClusterError with all kinds that the server doesn't know."""
        out, lines = [], []
        known = await self._discovery()
        asked_again = False
        for obj in objects:
            api_version, kind = obj.get("apiVersion") or "", obj.get("kind") or ""
            metadata = obj.get("metadata") or {}
            found = known.of_kind(api_version, kind)
            if found is None and not asked_again:
                known, asked_again = await self._discovery(anew=True), True
                found = known.of_kind(api_version, kind)
            if found is None:
                named = f'name: "{metadata.get("name", "")}" namespace: "{metadata.get("namespace", "")}" from ""'
                lines.append(
                    f'resource mapping not found for {named}: no matches for kind "{kind}" in version "{api_version}"'
                )
                lines.append("ensure CRDs are installed first")
                continue
            namespace = (metadata.get("namespace") or self.namespace) if found.namespaced else None
            if namespace is not None and not metadata.get("namespace"):
                obj = {**obj, "metadata": {**metadata, "namespace": namespace}}
            out.append(Target(found.name, kind, namespace, metadata.get("name") or "", obj))
        if lines:
            raise ClusterError(lines[0] + "\n" + lines[1] if len(lines) == 2 else f"[{', '.join(_pairs(lines))}]")
        return out

    async def get(self, target: Target) -> Object | None:
        """The object as it is, None if it isn't there. Raises ClusterError."""
        try:
            return await self.client.get(target.resource, target.name, target.namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise ClusterError(
                f"could not get information about the resource {_about(target)}: {error.message}"
            ) from error
        except OSError as error:
            raise ClusterError(f"could not get information about the resource {_about(target)}: {error}") from error

    async def lookup(self, api_version: str, kind: str, namespace: str, name: str) -> Object:
        """What templates' `lookup` gives: an object, a list without a name, {} for what isn't there. Raises ClusterError."""
        found = (await self._discovery()).of_kind(api_version, kind)
        if found is None:
            why = f'no matches for kind "{kind}" in version "{api_version}"'
            raise ClusterError(f"unable to get apiresource from unstructured: {api_version}, Kind={kind}: {why}")
        where = (namespace or None) if found.namespaced else None
        try:
            if name:
                return await self.client.get(found.name, name, where)
            listed = await self.client.list(found.name, where)
        except StatusError as error:
            if error.code == 404:
                return {}
            raise ClusterError(error.message) from error
        except OSError as error:
            raise self._unreachable("GET", found.name.path(where, name or None), error) from error
        metadata = {"resourceVersion": listed.resource_version}
        return {"apiVersion": api_version, "kind": f"{kind}List", "metadata": metadata, "items": listed.items}

    async def apply(
        self, target: Target, *, force: bool = False, dry_run: bool = False, manager: str = MANAGER, strict: bool = True
    ) -> Object:
        """Server-side apply. Raises ClusterError; a conflict names whose fields they are."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        query["fieldValidation"] = "Strict" if strict else "Warn"
        if dry_run:
            query["dryRun"] = "All"
        try:
            return await self._send("PATCH", target, query, target.object, "application/apply-patch+yaml")
        except StatusError as error:
            if error.code == 409 and error.reason == "Conflict":
                raise ClusterError(
                    f"conflict occurred while applying object {target.shown}: {error.message}"
                ) from error
            raise ClusterError(f"server-side apply failed for object {target.shown}: {error.message}") from error

    async def create(
        self, target: Target, *, dry_run: bool = False, manager: str = MANAGER, strict: bool = True
    ) -> Object:
        """Raises ClusterError."""
        query = {"fieldManager": manager, "fieldValidation": "Strict" if strict else "Warn"}
        if dry_run:
            query["dryRun"] = "All"
        path = target.resource.path(target.namespace)
        try:
            return await self._request("POST", path, query, target.object)
        except StatusError as error:
            raise ClusterError(error.message) from error

    async def replace(self, target: Target, live: Object, *, dry_run: bool = False, manager: str = MANAGER) -> Object:
        """Put the manifest's object in the place of what is there. Raises ClusterError."""
        metadata = {**target.object["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        try:
            return await self._send("PUT", target, query, {**target.object, "metadata": metadata})
        except StatusError as error:
            raise ClusterError(f"failed to replace object: {error.message}") from error

    async def patch(
        self, target: Target, patch: Any, media: str, *, dry_run: bool = False, manager: str = MANAGER
    ) -> Object:
        """Raises ClusterError."""
        query = {"fieldManager": manager}
        if dry_run:
            query["dryRun"] = "All"
        try:
            return await self._send("PATCH", target, query, patch, media)
        except StatusError as error:
            raise ClusterError(f'cannot patch "{target.name}" with kind {target.kind}: {error.message}') from error

    async def delete(self, target: Target, *, propagation: str = "Background") -> bool:
        """Ask for its deletion; whether it was there. Raises ClusterError."""
        try:
            await self.client.delete(target.resource, target.name, target.namespace, propagation=propagation)
        except StatusError as error:
            if error.code == 404:
                return False
            raise ClusterError(error.message) from error
        return True

    async def wait_ready(
        self, targets: Sequence[Target], seconds: float, *, jobs: bool = False, hook: bool = False
    ) -> None:
        """Until all are ready. Raises Unready with each that isn't when the time is over, or as soon as one has failed."""
        await self._wait(
            targets,
            seconds,
            lambda obj: ready.status_of(obj, jobs=jobs, hook=hook),
            lambda status: status == ready.CURRENT,
            "not ready",
        )

    async def wait_gone(self, targets: Sequence[Target], seconds: float) -> None:
        """Until none is there any more. Raises Unready."""
        await self._wait(
            targets,
            seconds,
            ready.status_of,
            lambda status: status == ready.NOT_FOUND,
            "still exists",
        )

    async def _wait(
        self,
        targets: Sequence[Target],
        seconds: float,
        look: Callable[[Object | None], Status],
        good: Callable[[str], bool],
        words: str,
    ) -> None:
        """Follow the objects until each is good, one has failed or the time is over."""
        if not targets:
            return
        found: dict[Key, Status] = {}
        wanted = {target.key: target for target in targets}
        changed: asyncio.Queue[tuple[Target, Object | None]] = asyncio.Queue(_HELD)
        places = {(target.resource, target.namespace) for target in targets}
        followers = [asyncio.create_task(self._follow(*place, wanted, changed)) for place in places]
        try:
            async with asyncio.timeout(seconds):
                while True:
                    target, obj = await changed.get()
                    found[target.key] = look(obj)
                    if words == "not ready" and found[target.key].status == ready.FAILED:
                        raise Unready(_unready([target], found, good, words))
                    if len(found) == len(wanted) and all(good(one.status) for one in found.values()):
                        return
        except TimeoutError:
            lines = _unready(targets, found, good, words)
            raise Unready(f"{lines}\ncontext deadline exceeded") from None
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    async def _follow(
        self,
        resource: GroupVersionResource,
        namespace: str | None,
        wanted: dict[Key, Target],
        changed: asyncio.Queue[tuple[Target, Object | None]],
    ) -> None:
        """Tell of each wanted object of a collection: first as it is, then each time it changes."""
        mine = {t.name: t for t in wanted.values() if (t.resource, t.namespace) == (resource, namespace)}
        while True:
            try:
                listed = await self.client.list(resource, namespace)
                there = {obj["metadata"]["name"]: obj for obj in listed.items}
                for name, target in mine.items():
                    await changed.put((target, there.get(name)))
                events = self.client.watch(resource, namespace, resource_version=listed.resource_version)
                async for event in events:
                    target_or_none = mine.get((event.object.get("metadata") or {}).get("name", ""))
                    if target_or_none is not None and event.type != "BOOKMARK":
                        await changed.put((target_or_none, None if event.type == "DELETED" else event.object))
            except (StatusError, OSError):
                pass
            await asyncio.sleep(LOOK_SECONDS)

    async def _send(
        self, method: str, target: Target, query: dict[str, str], body: Any, media: str = "application/json"
    ) -> Object:
        return await self._request(method, target.resource.path(target.namespace, target.name), query, body, media)

    async def _request(
        self, method: str, path: str, query: dict[str, str], body: Any, media: str = "application/json"
    ) -> Object:
        """Raises StatusError; ClusterError where the server can't be reached."""
        try:
            status, raw = await self.client.request(
                method, path, query=query, body=orjson.dumps(body), headers={"content-type": media}
            )
        except OSError as error:
            raise self._unreachable(method, path, error) from error
        try:
            answer: Object = orjson.loads(raw)
        except orjson.JSONDecodeError:
            answer = {}
        if status >= 300:
            raise StatusError.from_status(answer, status)
        return answer

    async def _discovery(self, *, anew: bool = False) -> Discovery:
        if self._known is None or anew:
            try:
                self._known = await discover(self.client, self._known)
            except StatusError as error:
                raise ClusterError(f"could not get server version from Kubernetes: {error.message}") from error
            except OSError as error:
                raise self._unreachable("GET", "/api", error) from error
        return self._known

    def _unreachable(self, method: str, path: str, error: OSError) -> ClusterError:
        from heeler.packages.repositories.web import why

        url = self._server + path
        return ClusterError(f'kubernetes cluster unreachable: {method.title()} "{url}": {why(error, url)}')


class NoCluster(Cluster):
    """Stands in where releases are kept in memory: nothing is there, and what is asked for is done at once."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    async def version(self) -> Object:
        return {"gitVersion": KUBE_VERSION}

    async def api_versions(self) -> list[str]:
        return []

    async def look_again(self) -> None:
        return None

    async def targets(self, objects: Iterable[Object]) -> list[Target]:
        return [self._target(obj) for obj in objects]

    def _target(self, obj: Object) -> Target:
        group, _, version = (obj.get("apiVersion") or "").rpartition("/")
        metadata, kind = obj.get("metadata") or {}, obj.get("kind") or ""
        namespace = metadata.get("namespace") or self.namespace
        resource = GroupVersionResource(group, version, kind.lower())
        return Target(resource, kind, namespace, metadata.get("name") or "", obj)

    async def get(self, target: Target) -> Object | None:
        return None

    async def apply(
        self, target: Target, *, force: bool = False, dry_run: bool = False, manager: str = MANAGER, strict: bool = True
    ) -> Object:
        return target.object

    async def create(
        self, target: Target, *, dry_run: bool = False, manager: str = MANAGER, strict: bool = True
    ) -> Object:
        return target.object

    async def delete(self, target: Target, *, propagation: str = "Background") -> bool:
        return True

    async def wait_ready(
        self, targets: Sequence[Target], seconds: float, *, jobs: bool = False, hook: bool = False
    ) -> None:
        return None

    async def wait_gone(self, targets: Sequence[Target], seconds: float) -> None:
        return None


def _unready(
    targets: Sequence[Target],
    found: dict[Key, Status],
    good: Callable[[str], bool],
    words: str,
) -> str:
    lines = []
    for target in targets:
        one = found.get(target.key, Status("Unknown", ""))
        if not good(one.status):
            place = f"{target.namespace}/{target.name}" if target.namespace else target.name
            lines.append(f"resource {target.kind}/{place} {words}. status: {one.status}, message: {one.message}")
    return "\n".join(lines)


def _about(target: Target) -> str:
    return f'{target.kind} "{target.name}" in namespace "{target.namespace or ""}"'


def _pairs(lines: list[str]) -> list[str]:
    return [f"{lines[at]}\n{lines[at + 1]}" for at in range(0, len(lines), 2)]


def _message(body: bytes, status: int) -> str:
    try:
        return str(orjson.loads(body).get("message") or status)
    except (orjson.JSONDecodeError, AttributeError):
        return f"the server answered {status}"
