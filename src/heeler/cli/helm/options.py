"""Flags that several actions on releases have: how objects are written, what is waited for, which labels a release has."""

from __future__ import annotations

from collections.abc import Mapping

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.releases.doing import SSA, Applying, Waiting
from heeler.packages.releases.storage import SYSTEM_LABELS

_BILLION = 1e9


def waiting(call: Call) -> Waiting:
    """What to wait for, and how long."""
    flags = call.flags
    strategy = flags.text("wait") or "hookOnly"
    if strategy == "hookOnly" and not flags.changed("wait") and flags.on("rollback-on-failure"):
        strategy = "watcher"
    return Waiting(strategy, flags.number("timeout") / _BILLION, flags.on("wait-for-jobs"))


def applying(call: Call, before: str = SSA) -> Applying:
    """How objects are written; `before` is how the release's were. Raises `HelmError`."""
    flags = call.flags
    given = flags.text("server-side").lower()
    if given not in ("true", "false", "auto"):
        raise HelmError(f'invalid server-side value "{flags.text("server-side")}". Must be "true", "false", or "auto"')
    server_side = before == SSA if given == "auto" else given == "true"
    replaced = flags.on("force-replace") or flags.on("force")
    return Applying(
        server_side,
        flags.on("force-conflicts"),
        replaced,
        flags.on("take-ownership"),
        not flags.on("disable-openapi-validation"),
    )


def labels(call: Call, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """The release's labels: those it had, with what --labels sets and takes away. Raises `HelmError`."""
    given = call.flags.pairs("labels")
    if any(key in SYSTEM_LABELS for key in given):
        shown = " ".join(SYSTEM_LABELS)
        raise HelmError(f"user supplied labels contains system reserved label name. System labels: [{shown}]")
    found = {**(before or {}), **given}
    return {key: value for key, value in found.items() if value != "null"}
