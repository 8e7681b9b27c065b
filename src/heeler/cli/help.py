"""`heeler doctor` and `heeler export`: what is wrong, and what somebody else needs to see."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click
import orjson

from heeler.base.clock import SystemClock, rfc3339
from heeler.cli.flags import fail
from heeler.client.client import Client
from heeler.client.https import HttpsClient
from heeler.local import doctor as checks
from heeler.local.layout import DEFAULT_NAME, Layout, LocalError, Spec, existing, layout_of, no_cluster, owner

name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="The cluster's name.")
data_option = click.option("--data-dir", type=click.Path(path_type=Path), default=None, help="Its folder.")
_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command(epilog="Example: heeler doctor -o json")
@click.option("--name", default=None, help=f"The cluster's name [{DEFAULT_NAME}].")
@data_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def doctor(name: str | None, data_dir: Path | None, output: str) -> None:
    """Look at the machine and a cluster: what is wrong, and what to do. Exit code 1 if something fails."""
    asked = bool(name or data_dir)
    name = name or DEFAULT_NAME
    who = owner(os.environ)
    try:
        layout = layout_of(name, data_dir, who, os.environ)
        findings = asyncio.run(_examine(layout))
        if layout.load() is None:
            why = no_cluster(name, layout, who, os.environ)
            findings.append(checks.Finding("cluster", "fail" if asked else "ok", why))
    except LocalError as error:
        fail(str(error))
    if output == "json":
        click.echo(orjson.dumps({"findings": checks.plain(findings)}, option=orjson.OPT_INDENT_2).decode())
    else:
        for one in findings:
            click.echo(f"{_MARKS[one.status]}  {one.check}: {one.message}")
            if one.fix:
                click.echo(f"      → {one.fix}")
    if any(one.status == "fail" for one in findings):
        raise SystemExit(1)


async def _examine(layout: Layout) -> list[checks.Finding]:
    client = _client(layout)
    try:
        return await checks.examine(layout, client)
    finally:
        if client is not None:
            await client.close()


def _client(layout: Layout) -> HttpsClient | None:
    """The administrator's client, if there is a cluster whose keys we may read."""
    from heeler.local.certificates import admin_access

    try:
        spec = layout.load()
        return HttpsClient(admin_access(layout, spec)) if spec is not None and spec.port else None
    except (LocalError, OSError):
        return None


@click.command(epilog="Example: heeler export --name dev report.tar.gz")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False, default=None)
@name_option
@data_option
def export(path: Path | None, name: str, data_dir: Path | None) -> None:
    """Write a cluster's state and logs into an archive for a bug report; secrets are removed.

    Without root the nodes' own logs and rules are left out.
    """
    try:
        layout, spec = existing(name, data_dir, owner(os.environ), os.environ)
    except LocalError as error:
        fail(str(error))
    clock = SystemClock()
    stamp = rfc3339(clock.time()).replace(":", "").replace("-", "")
    target = path or Path(f"heeler-{name}-{stamp}.tar.gz")
    if target.exists():
        fail(f"{target} is there already: choose another name")
    try:
        asyncio.run(_export(layout, spec, target, clock))
    except OSError as error:
        target.unlink(missing_ok=True)
        fail(f"cannot write {target}: {error.strerror or error}")
    click.echo(f"{target}\nSecrets were removed as far as they can be told; look through it before you send it on.")


async def _export(layout: Layout, spec: Spec, target: Path, clock: SystemClock) -> None:
    from heeler.cli.status import describe
    from heeler.local.export import export as write

    client = _client(layout)
    try:
        findings = await checks.examine(layout, client)
        summary = {"doctor": checks.plain(findings), "status": await describe(layout)}
        reachable: Client | None = client if await _answers(client) else None
        await write(
            layout, spec, reachable, target, summary, clock, lambda stage, said: click.echo(f"  {stage:<16}{said}")
        )
    finally:
        if client is not None:
            await client.close()


async def _answers(client: HttpsClient | None) -> bool:
    if client is None:
        return False
    try:
        async with asyncio.timeout(5):
            return (await client.request("GET", "/readyz"))[0] == 200
    except (OSError, TimeoutError):
        return False
