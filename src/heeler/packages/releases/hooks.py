"""Hooks: objects that are made at an event of a release, one after the other, and waited for to their end.

Source: https://helm.sh/docs/topics/charts_hooks/ and what helm 4.3 asked of a server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import orjson

from heeler.objects.status import StatusError
from heeler.objects.value import GroupVersionResource
from heeler.packages.releases.cluster import ClusterError, Target
from heeler.packages.releases.doing import ActionError, Applying, Doing, Waiting
from heeler.packages.releases.records import Hook, Release, Run

BEFORE, SUCCEEDED, FAILED = "before-hook-creation", "hook-succeeded", "hook-failed"
_PODS = GroupVersionResource("", "v1", "pods")
#: Bytes of a pod's log that are shown.
LOG_BYTES = 10 << 20


def at(release: Release, event: str) -> list[Hook]:
    """The hooks of an event in the order in which they run."""
    return sorted((hook for hook in release.hooks if event in hook.events), key=lambda hook: (hook.weight, hook.name))


async def run(
    doing: Doing, release: Release, event: str, waiting: Waiting, applying: Applying, *, later: list[Hook] | None = None
) -> Release:
    """Run an event's hooks; the release with what became of each. Raises ActionError for the first that fails.

    What hooks' policies delete afterwards is gone when this ends, or noted in `later`: for `clean`."""
    hooks = [_with_policy(hook) for hook in at(release, event)]
    for number, hook in enumerate(hooks):
        targets = await doing.targets(hook.manifest)
        if BEFORE in hook.delete_policies:
            await _delete(doing, targets, waiting)
        release = release.with_hook(replace(hook, last_run=Run(doing.now(), "", "Running")))
        await doing.storage.update(release)
        try:
            for target in targets:
                await doing.make(target, applying)
            await doing.cluster.wait_ready(targets, waiting.seconds, hook=True)
        except ClusterError as error:
            release = _ended(doing, release, hook, "Failed")
            await _show_logs(doing, hook, targets, FAILED)
            # those that ran well before it are cleaned up as if all had
            over = [hook] if FAILED in hook.delete_policies else []
            await _clean_or_note(doing, over + _over(hooks[:number]), waiting, later)
            raise HookFailed(event, str(error), release) from error
        release = _ended(doing, release, hook, "Succeeded")
    for hook in hooks:
        await _show_logs(doing, hook, None, SUCCEEDED)
    await _clean_or_note(doing, _over(hooks), waiting, later)
    return release


class HookFailed(ActionError):
    """A hook failed, for `why`; `release` knows which."""

    def __init__(self, event: str, why: str, release: Release) -> None:
        super().__init__(f"failed {event}: {why}")
        self.event, self.why, self.release = event, why, release


def _with_policy(hook: Hook) -> Hook:
    """A hook that says nothing is deleted before it is made anew."""
    return hook if hook.delete_policies else replace(hook, delete_policies=(BEFORE,))


def _ended(doing: Doing, release: Release, hook: Hook, phase: str) -> Release:
    started = next((one.last_run.started for one in release.hooks if one.key == hook.key), "")
    return release.with_hook(replace(hook, last_run=Run(started, doing.now(), phase)))


def _over(hooks: Iterable[Hook]) -> list[Hook]:
    """Those whose objects go when they have run well."""
    return [hook for hook in hooks if SUCCEEDED in hook.delete_policies]


async def _clean_or_note(doing: Doing, hooks: list[Hook], waiting: Waiting, later: list[Hook] | None) -> None:
    if later is None:
        await clean(doing, hooks, waiting)
    else:
        later += hooks


async def clean(doing: Doing, hooks: Iterable[Hook], waiting: Waiting) -> None:
    """Delete the objects of hooks. Raises ActionError."""
    for hook in hooks:
        await _delete(doing, await doing.targets(hook.manifest), waiting)


async def _delete(doing: Doing, targets: Iterable[Target], waiting: Waiting) -> None:
    """Delete a hook's objects and wait until they are gone; definitions stay, as all of their kind would go with them."""
    gone = [target for target in targets if target.kind != "CustomResourceDefinition"]
    try:
        there = [target for target in gone if await doing.cluster.delete(target)]
        await doing.cluster.wait_gone(there, waiting.seconds)
    except ClusterError as error:
        raise ActionError(str(error)) from error


async def _show_logs(doing: Doing, hook: Hook, targets: Iterable[Target] | None, policy: str) -> None:
    """Print what a hook's pods said, if its policy for logs asks for it."""
    if policy not in hook.log_policies:
        return
    for target in targets if targets is not None else await doing.targets(hook.manifest):
        if target.kind == "Pod":
            await show_pod(doing, target)
        elif target.kind == "Job":
            selector = f"job-name={target.name}"
            pods = await doing.cluster.client.list(_PODS, target.namespace, label_selector=selector)
            for pod in pods.items:
                name = pod["metadata"]["name"]
                await show_pod(doing, replace(target, resource=_PODS, kind="Pod", name=name, object=pod))


async def show_pod(doing: Doing, target: Target) -> None:
    """Print a pod's logs, container by container."""
    pod = await doing.cluster.get(target)
    for container in ((pod or {}).get("spec") or {}).get("containers") or ():
        try:
            text = await pod_log(doing, target, container["name"])
        except ActionError as error:
            doing.log("ERROR", str(error))
            continue
        doing.tell(f"POD LOGS: {target.name} ({container['name']})\n{text}\n")


async def pod_log(doing: Doing, target: Target, container: str) -> str:
    """Raises ActionError."""
    path = target.resource.path(target.namespace, target.name, "log")
    query = {"container": container}
    try:
        status, body = await doing.cluster.client.request("GET", path, query=query)
    except (StatusError, OSError) as error:
        raise ActionError(f"unable to get logs for pod {target.name}, container {container}: {error}") from error
    if status != 200:
        why = _message(body)
        raise ActionError(f"unable to get logs for pod {target.name}, container {container}: {why}")
    return body[:LOG_BYTES].decode("utf-8", "replace")


def _message(body: bytes) -> str:
    try:
        return str(orjson.loads(body).get("message") or "")
    except (orjson.JSONDecodeError, AttributeError):
        return body[:500].decode("utf-8", "replace")
