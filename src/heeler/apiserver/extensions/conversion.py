"""Custom objects between versions: the only step on a request's way from and to the store that may have to ask somebody.

`ready` makes versions of stored objects, many at a time, and leaves them on the items, where everything else finds them;
`to_store` makes what is written. Kinds without a webhook never wait here. Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/#webhook-conversion
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heeler.apiserver.cache import ROOT, Item
from heeler.apiserver.extensions.webhook_client import WebhookFailure
from heeler.kinds.custom import conversion
from heeler.kinds.custom.conversion import BadConversion
from heeler.kinds.custom.kind import CustomKind
from heeler.objects.status import StatusError, internal_error, qualified
from heeler.objects.value import Object, Revision

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer
    from heeler.kinds.kind import Kind

#: Seconds that a conversion webhook may take.
SECONDS = 30
#: Objects that one request to a webhook has, and about how many bytes of them.
MAX_OBJECTS, MAX_BYTES = 500, 4 << 20


class NotDecodable(StatusError):
    """A stored object that can't be had in the version that is asked for. A write's answer; reads tell more."""

    def __init__(self, item: Item, fault: StatusError) -> None:
        self._kind, self._key = item.kind, item.key
        super().__init__(500, "", f"object not decodable revision={item.revision}: {fault.message}")

    def read_alone(self) -> StatusError:
        """The answer to a read, and to the deletion, of this object."""
        return internal_error(self._corrupt(self._key.removeprefix(ROOT.rstrip("/"))))

    def read_in_a_list(self) -> StatusError:
        """The answer to a read, and to the deletion, of many objects."""
        kind, words = self._kind, self._corrupt(self._key)
        causes = [{"reason": "UnexpectedServerResponse", "message": words, "field": self._key}]
        details = {"name": "list", "group": kind.group, "kind": kind.plural, "causes": causes}
        what = qualified(kind.plural, kind.group)
        message = f"failed to read one or more {what} from the storage: {words}"
        return StatusError(500, "StorageReadError", message, details)

    def _corrupt(self, key: str) -> str:
        return (
            f"StorageError: corrupt object, Code: 7, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {self.message}"
        )


class Conversions:
    """The conversions of one API server. What is being converted for one request is not asked for again by another."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._under_way: dict[tuple[Item, str], asyncio.Future[None]] = {}

    async def ready(self, items: Sequence[Item], api_version: str) -> None:
        """Make sure that a kind's items can be had in a version. Raises NotDecodable."""
        if not items or items[0].kind.webhook is None:
            return
        while missing := [item for item in items if not item.has(api_version)]:
            mine = [item for item in missing if (item, api_version) not in self._under_way]
            if mine:
                await self._convert_items(mine, api_version)
            else:
                await asyncio.shield(self._under_way[missing[0], api_version])

    async def _convert_items(self, items: list[Item], api_version: str) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keys = [(item, api_version) for item in items]
        self._under_way |= dict.fromkeys(keys, done)
        try:
            for batch in _batches(items):
                kind = batch[0].kind
                assert isinstance(kind, CustomKind)
                asked = [_bare(kind.as_stored(item.raw())) for item in batch]
                try:
                    found = await self._ask(kind, asked, api_version)
                except StatusError as error:
                    raise NotDecodable(batch[0], error) from None
                for item, obj in zip(batch, found, strict=True):
                    obj["metadata"]["resourceVersion"] = str(item.revision)
                    item.hold(obj)
        except StatusError as error:
            done.set_exception(error)  # of all who wait for it: a webhook that hangs isn't asked by one after the other
            done.exception()
            raise
        finally:
            for key in keys:
                del self._under_way[key]
            if not done.done():
                done.set_result(None)

    async def ready_to_read(self, item: Item, api_version: str) -> None:
        """The same for one that is read or deleted alone. Raises 500."""
        try:
            await self.ready([item], api_version)
        except NotDecodable as error:
            raise error.read_alone() from None

    async def ready_to_list(self, items: Sequence[Item], api_version: str) -> None:
        """The same for many at once. Raises 500."""
        try:
            await self.ready(items, api_version)
        except NotDecodable as error:
            raise error.read_in_a_list() from None

    async def to_store(self, kind: Kind, obj: Object) -> Object:
        """The object as it is to be written (itself, if that is its version). Raises 500."""
        return await self.convert(kind, obj, kind.storage_api_version, kind.stored_api_version)

    async def written(
        self, kind: Kind, key: str, value: bytes, revision: Revision, obj: Object, stored: Object
    ) -> Item:
        """The item that was made of `obj` by writing `stored`: what got lost on the way isn't shown. Raises 500."""
        if stored is obj:
            obj["metadata"]["resourceVersion"] = str(revision)
            return Item(kind, key, value, revision, obj)
        item = Item(kind, key, value, revision)
        await self.ready([item], kind.storage_api_version)
        return item

    async def would_be(self, kind: Kind, obj: Object) -> Object:
        """The object as it would be after it was written and read: what a dry run shows. Raises 500."""
        stored = await self.to_store(kind, obj)
        if stored is obj:
            return obj
        return await self.convert(kind, stored, kind.stored_api_version, kind.storage_api_version)

    async def convert(self, kind: Kind, obj: Object, source: str, target: str) -> Object:
        """An object of the apiVersion `source` in the apiVersion `target`. Raises 500."""
        if source == target or kind.webhook is None:
            return kind.convert(obj, source, target)
        (found,) = await self._ask(kind, [_bare(obj)], target)
        if "resourceVersion" in obj["metadata"]:
            found["metadata"]["resourceVersion"] = obj["metadata"]["resourceVersion"]
        return found

    async def _ask(self, kind: Kind, objects: list[Object], api_version: str) -> list[Object]:
        """Objects of one version (in their order) as the webhook, and then the schema, have them in another."""
        hook = kind.webhook
        assert hook is not None
        assert isinstance(kind, CustomKind)
        review = conversion.review(hook, objects, api_version, self._server.random.uuid())
        try:
            answer = await self._server.webhooks.call(hook["clientConfig"], review, SECONDS)
            return [kind.converted(obj) for obj in conversion.converted(review, answer)]
        except (WebhookFailure, BadConversion) as error:
            what = f"{objects[0]['apiVersion']}, Kind={objects[0]['kind']}"
            words = error.words if isinstance(error, BadConversion) else f"failed: {error}"
            whole = isinstance(error, BadConversion) and error.whole
            raise StatusError(500, "", words if whole else f"conversion webhook for {what} {words}") from None


def _bare(obj: Object) -> Object:
    """Without its revision, which belongs to this store."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _batches(items: list[Item]) -> list[list[Item]]:
    """Items of one version each, in order, not too many and not too large."""
    by_version: dict[str, list[Item]] = {}
    for item in items:
        by_version.setdefault(item.written_version, []).append(item)
    out: list[list[Item]] = []
    for group in by_version.values():
        size = MAX_BYTES
        for item in group:
            size += len(item.value)
            if size > MAX_BYTES or len(out[-1]) >= MAX_OBJECTS:
                out.append([])
                size = len(item.value)
            out[-1].append(item)
    return out
