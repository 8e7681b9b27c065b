"""StorageVersionMigrations: each object of a resource is written again, so that it is stored as the server stores it now.

https://kubernetes.io/docs/tasks/manage-kubernetes-objects/storage-version-migration/ — one at a time for a resource. A custom
kind's definition says meanwhile that it migrates, and in the end forgets versions in which nothing is stored any more.
"""

from __future__ import annotations

from collections.abc import Iterable

from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.client.discovery import Discovery, Resource, discover
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import CUSTOM_RESOURCE_DEFINITIONS, STORAGE_VERSION_MIGRATIONS
from heeler.objects.status import StatusError
from heeler.objects.value import Object, meta, name_of
from heeler.workloads import pods

MANAGER, RUNNER = "storage-version-migrator-controller", "migration-runner-controller"
RUNNING, SUCCEEDED, FAILED = "Running", "Succeeded", "Failed"
MIGRATING = "StorageMigrating"
#: A resource that isn't served may be about to be, for so many seconds after the migration was asked for.
PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 5.0
PAGE = 500
COMPLETED = "Migration completed"


def resource_of(migration: Object) -> str:
    """`plural.group`, or `plural` of the core group: also the name that a definition of it has."""
    resource = migration["spec"]["resource"]
    group = resource.get("group") or ""
    return f"{resource['resource']}.{group}" if group else str(resource["resource"])


def has_ended(migration: Object) -> bool:
    return pods.has_condition(migration, SUCCEEDED) or pods.has_condition(migration, FAILED)


def next_of(migrations: Iterable[Object]) -> Object | None:
    """The one of a resource's migrations to work on: what runs goes on, else the oldest."""
    waiting = [one for one in migrations if not has_ended(one)]
    running = [one for one in waiting if pods.has_condition(one, RUNNING)]
    return min(running or waiting, key=lambda one: (meta(one).get("creationTimestamp", ""), name_of(one)), default=None)


def with_condition(migration: Object, type: str, value: str, reason: str, message: str, now: float) -> Object:
    """The migration with a condition as given."""
    status = migration.get("status") or {}
    condition = {
        "type": type,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": rfc3339(now),
    }
    others = [one for one in status.get("conditions") or () if one.get("type") != type]
    return {**migration, "status": {**status, "conditions": [*others, condition]}}


def ended(migration: Object, failure: str, now: float) -> Object:
    """The migration as it ends; `failure` is "" if it went well."""
    migration = with_condition(migration, RUNNING, "False", "MigrationCompleted", COMPLETED, now)
    if failure:
        return with_condition(migration, FAILED, "True", "StorageVersionMigrationFailed", failure, now)
    return with_condition(migration, SUCCEEDED, "True", "StorageVersionMigrationSucceeded", COMPLETED, now)


def definition_status(definition: Object, succeeded: bool, now: float) -> Object:
    """What a definition's status says after a migration: stored versions are forgotten if it is the one that began."""
    generation = definition["metadata"].get("generation") or 0
    began = pods.condition(definition, MIGRATING)
    same = began is not None and began.get("observedGeneration") == generation
    reason, message = "MigrationFailed", "The migration has failed"
    if succeeded:
        how = "and the stored versions have been updated"
        if not same:
            how = "but the stored versions have not been updated due to a generation mismatch"
        reason, message = "MigrationSucceeded", f"The migration has succeeded {how}"
    status: Object = {"conditions": [_migrating("False", reason, message, generation, now)]}
    if same:
        stored = [one["name"] for one in definition["spec"]["versions"] if one.get("storage")]
        status["storedVersions"] = stored[-1:]
    return status


def _migrating(value: str, reason: str, message: str, generation: int, now: float) -> Object:
    return {
        "type": MIGRATING,
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": rfc3339(now),
    }


class StorageVersionMigrator:
    """Keys are resources (`plural.group`)."""

    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._context, self._client = context, context.client
        self._migrations = context.informers.get(STORAGE_VERSION_MIGRATIONS)
        self._migrations.add_index("resource", lambda one: [resource_of(one)])
        self._migrations.add_handler(lambda old, new: self.queue.add(resource_of(new or old or {})))
        self._known = Discovery([], [])

    async def reconcile(self, key: str) -> None:
        migration = next_of(self._migrations.by_index("resource", key))
        if migration is None:
            return
        if not pods.has_condition(migration, RUNNING):
            migration = await self._begin(migration)
        resource = await self._resource(migration)
        if resource is None:
            left = parse_rfc3339(migration["metadata"]["creationTimestamp"]) + PATIENCE_SECONDS - self._now()
            if left > 0:
                self.queue.add_after(key, min(left, RETRY_SECONDS))
                return
            await self._end(migration, "resource does not exist in discovery")
            return
        if not (migration.get("status") or {}).get("resourceVersion"):
            page = await self._client.list(resource.name, limit=1)
            status = {**(migration.get("status") or {}), "resourceVersion": page.resource_version}
            migration = await self._write({**migration, "status": status})
        await self._end(migration, "" if await self._migrate(resource) else "migration encountered unhandled error")

    def _now(self) -> float:
        return self._context.clock.time()

    async def _resource(self, migration: Object) -> Resource | None:
        self._known = await discover(self._client, self._known)
        wanted = migration["spec"]["resource"]
        group, plural = wanted.get("group") or "", wanted["resource"]
        return next((r for r in self._known.preferred() if (r.name.group, r.name.resource) == (group, plural)), None)

    async def _migrate(self, resource: Resource) -> bool:
        """Write each object as it is. One that has changed or is gone meanwhile needs it no more; False: one was refused."""
        token = ""
        while True:
            page = await self._client.list(resource.name, limit=PAGE, continue_token=token)
            for obj in page.items:
                try:
                    await self._touch(resource, obj)
                except StatusError as error:
                    if error.code in (429, 500, 503, 504):
                        raise
                    if error.code not in (404, 409):
                        return False
            token = page.continue_token
            if not token:
                return True

    async def _touch(self, resource: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        applied: Object = {
            "apiVersion": resource.name.api_version,
            "kind": resource.kind,
            "metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        }
        await self._client.patch(
            resource.name,
            metadata["name"],
            applied,
            metadata.get("namespace"),
            type="application/apply-patch+yaml",
            field_manager=MANAGER,
        )

    # what is said of it

    async def _begin(self, migration: Object) -> Object:
        definition = await self._definition(migration)
        now, generation = self._now(), meta(definition or {}).get("generation") or 0
        if definition is not None:
            message = f"Migration {name_of(migration)} is running"
            condition = _migrating("True", "MigrationRunning", message, generation, now)
            await self._apply_status(definition, {"conditions": [condition]})
        begun = with_condition(migration, RUNNING, "True", "MigrationRunning", "The migration is running", now)
        return await self._write(begun)

    async def _end(self, migration: Object, failure: str) -> None:
        definition = await self._definition(migration)
        now = self._now()
        if definition is not None:
            await self._apply_status(definition, definition_status(definition, not failure, now))
        await self._write(ended(migration, failure, now))

    async def _definition(self, migration: Object) -> Object | None:
        """The definition of a custom kind; None of another."""
        if not migration["spec"]["resource"].get("group"):
            return None
        try:
            return await self._client.get(CUSTOM_RESOURCE_DEFINITIONS, resource_of(migration))
        except StatusError as error:
            if error.code != 404:
                raise
            return None

    async def _apply_status(self, definition: Object, status: Object) -> None:
        applied: Object = {
            "apiVersion": CUSTOM_RESOURCE_DEFINITIONS.api_version,
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name_of(definition)},
            "status": status,
        }
        await self._client.patch(
            CUSTOM_RESOURCE_DEFINITIONS,
            name_of(definition),
            applied,
            type="application/apply-patch+yaml",
            subresource="status",
            field_manager=RUNNER,
            force=True,
        )

    async def _write(self, migration: Object) -> Object:
        done = await self._client.update(STORAGE_VERSION_MIGRATIONS, migration, subresource="status")
        self._migrations.assume(done)
        return done
