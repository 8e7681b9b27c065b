"""`helm test`: the hooks of a release's event `test`.

Source: https://helm.sh/docs/topics/chart_tests/ and what helm 4.3 asked of a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heeler.packages.releases import hooks
from heeler.packages.releases.doing import ActionError, Applying, Doing, Waiting
from heeler.packages.releases.hooks import HookFailed, pod_log
from heeler.packages.releases.records import Hook, Release


async def test(
    doing: Doing,
    name: str,
    waiting: Waiting,
    filters: Mapping[str, Sequence[str]],
    *,
    applying: Applying,
    later: list[Hook],
) -> tuple[Release, ActionError | None]:
    """Run the tests; the release with what became of them, and the first failure. `filters`: names to run, or to pass over
    (`name`, `!name`). `later` gets the hooks whose objects go once their logs were read (`hooks.clean`).

    Raises ActionError, StorageError."""
    release = await doing.storage.last(name)
    chosen = [hook for hook in release.hooks if _wanted(hook.name, filters)]
    passed_over = [hook for hook in release.hooks if hook not in chosen]
    try:
        done = await hooks.run(doing, replace(release, hooks=tuple(chosen)), "test", waiting, applying, later=later)
        failure = None
    except HookFailed as error:
        done, failure = error.release, ActionError(str(error).removeprefix("failed test: "))
    release = replace(done, hooks=(*done.hooks, *passed_over))
    await doing.storage.update(release)
    return release, failure


def _wanted(name: str, filters: Mapping[str, Sequence[str]]) -> bool:
    if name in filters.get("!name", ()):
        return False
    return not filters.get("name") or name in filters["name"]


async def logs(doing: Doing, release: Release, filters: Mapping[str, Sequence[str]]) -> str:
    """What the pods of the tests said. Raises ActionError."""
    out = []
    for hook in hooks.at(release, "test"):
        if not _wanted(hook.name, filters):
            continue
        for target in await doing.targets(hook.manifest):
            if target.kind != "Pod":
                continue
            pod = await doing.cluster.get(target) or {}
            for container in (pod.get("spec") or {}).get("containers") or ():
                text = await pod_log(doing, target, container["name"])
                out.append(f"POD LOGS: {target.name} ({container['name']})\n{text}\n")
    return "".join(out)
