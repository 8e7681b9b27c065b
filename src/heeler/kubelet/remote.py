"""exec, attach and port-forward: a client's session joined to a command, a container's own streams, or a port.

Outcomes are v1.Status objects as kubectl reads them (an exit code stands in the causes).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import orjson

from heeler.base.netns import NetNamespace
from heeler.base.random import Random
from heeler.base.together import end
from heeler.kubelet.runtime.cri import Runtime, RuntimeFault
from heeler.kubelet.runtime.streaming import Attached
from heeler.kubelet.runtime.tasks import QUIET, Command, Tasks
from heeler.kubelet.sessions import Session
from heeler.objects.status import internal_error
from heeler.objects.value import Object

SUCCESS: Object = {"metadata": {}, "status": "Success"}


def exit_status(command: Sequence[str], code: int) -> Object:
    """The outcome of a command that ended with `code`."""
    if code == 0:
        return SUCCESS
    shown = " ".join(command)
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: error executing command [{shown}], exit code {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure(what: str, error: Exception) -> Object:
    return internal_error(f"{what}: {error}").status()


async def execute(
    tasks: Tasks, container: str, command: Sequence[str], *, stdin: bool, tty: bool, session: Session, random: Random
) -> None:
    """Run a command for a session. When the client goes away the command is killed."""
    name = random.uuid().replace("-", "")
    try:
        running = await tasks.start(container, command, stdin=stdin, tty=tty, name=name)
    except (RuntimeFault, OSError) as error:
        text = f'error executing command in container: failed to exec in container: failed to start exec "{name}"'
        await session.finish(failure(text, error))
        return
    helpers = [asyncio.ensure_future(_sizes(session, running))]
    if stdin:
        helpers.append(asyncio.ensure_future(_input(session, running)))
    work = asyncio.ensure_future(_outputs(session, running))
    gone = asyncio.ensure_future(session.gone())
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await session.finish(exit_status(command, work.result()))
    except ConnectionError:
        pass
    finally:
        await end([*helpers, work, gone])
        await running.close()


async def _sizes(session: Session, running: Command) -> None:
    while True:
        width, height = await session.size()
        await running.resize(width, height)


async def _input(session: Session, running: Command) -> None:
    try:
        while data := await session.read():
            await running.write(data)
    except BrokenPipeError:
        return
    await running.end_input()


async def _outputs(session: Session, running: Command) -> int:
    """Carry all output; the exit code once it is through."""
    busy = asyncio.Event()

    async def carry(name: str) -> None:
        while data := await running.read(name):
            busy.set()
            await session.write(name, data)

    carriers = [asyncio.ensure_future(carry(name)) for name in running.outputs]
    try:
        code = await running.wait()
        # A child may hold the output open for ever: it is waited for as long as it writes.
        while any(not c.done() for c in carriers):
            busy.clear()
            done, _ = await asyncio.wait(carriers, timeout=QUIET)
            if len(done) < len(carriers) and not busy.is_set():
                break
        for carrier in carriers:
            if carrier.done():
                carrier.result()
        return code
    finally:
        for carrier in carriers:
            carrier.cancel()


async def attach(
    runtime: Runtime, container: str, *, stdin: bool, tty: bool, session: Session, netns: NetNamespace
) -> None:
    """Join a session to a container's own input and output, through the runtime's streaming server."""
    wanted = (("error", True), ("stdin", stdin), ("stdout", True), ("stderr", not tty), ("resize", tty))
    try:
        url = await runtime.attach_url(container, stdin, tty, True, not tty)
        attached = await Attached.open(url, netns, [name for name, have in wanted if have])
    except (RuntimeFault, OSError, EOFError) as error:
        await session.finish(failure("error attaching to container", error))
        return
    helpers = [asyncio.ensure_future(_attach_sizes(session, attached))] if tty else []
    if stdin:
        helpers.append(asyncio.ensure_future(_attach_input(session, attached)))
    work = asyncio.ensure_future(_attach_output(session, attached))
    gone = asyncio.ensure_future(session.gone())
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await session.finish(work.result())
    except (OSError, EOFError):
        await session.finish(SUCCESS)
    finally:
        await end([*helpers, work, gone])
        attached.close()


async def _attach_sizes(session: Session, attached: Attached) -> None:
    while True:
        width, height = await session.size()
        await attached.write("resize", orjson.dumps({"Width": width, "Height": height}))


async def _attach_input(session: Session, attached: Attached) -> None:
    while data := await session.read():
        await attached.write("stdin", data)
    await attached.end_input()


async def _attach_output(session: Session, attached: Attached) -> Object:
    status, told = SUCCESS, b""
    while (pieces := await attached.read()) is not None:
        for name, data in pieces:
            if name == "error":
                told += data
            else:
                await session.write(name, data)
    with contextlib.suppress(orjson.JSONDecodeError):
        status = orjson.loads(told)
    return status
