"""Logs, exec and attach over the kubelet's API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

from heeler.wire.streams import channels
from tests.containers.node import WAIT, pod, started


def exec_path(script: str, **flags: int) -> str:
    options = "".join(f"&{k}={v}" for k, v in flags.items())
    return f"/exec/default/a/c?command=sh&command=-c&command={quote(script)}{options}"


def test_commands_have_input_output_sizes_and_exit_codes(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            echo = "trap 'exit 0' TERM; while read x; do echo got $x; done; " + WAIT
            node.api.put("pods", pod("a", f"echo one; echo two >&2; {echo}", container={"stdin": True}))
            await node.phase("a", "Running")
            out, status = await node.remote(exec_path("echo out; echo err >&2; exit 3", output=1, error=1))
            assert (out[1], out[2]) == (b"out\n", b"err\n")
            assert status["reason"] == "NonZeroExitCode"
            assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
            big = b"x" * 2_000_000
            out, status = await node.remote(exec_path("wc -c", input=1, output=1, error=1), stdin=big)
            assert out[1] == b"2000000\n" and status["status"] == "Success"
            out, status = await node.remote(exec_path("cat", input=1, output=1, error=1), stdin=big)
            assert out[1] == big
            out, _ = await node.remote(exec_path("sleep 0.2; stty size", output=1, tty=1), size=(120, 40))
            assert out[1] == b"40 120\r\n"
            out, _ = await node.remote(exec_path("echo hi", output=1), protocol=channels.V4)
            assert out[1] == b"hi\n"
            _, status = await node.remote("/exec/default/a/c?command=nonsense&output=1")
            assert status["code"] == 500 and "executable file not found" in status["message"]
            code, text = await node.get("/containerLogs/default/a/c?tailLines=1")
            assert (code, text) in ((200, "one\n"), (200, "two\n"))
            assert (await node.get("/containerLogs/default/a/c?previous=true"))[0] == 400
            assert (await node.get("/containerLogs/default/none/c"))[0] == 404
            assert (await node.get("/healthz", who="stranger"))[0] == 403
            assert (await node.get("/stats/summary"))[0] == 200

    asyncio.run(main())


def test_a_terminal_without_input_ends_with_its_command(cluster: str, tmp_path: Path, archive: Path) -> None:
    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            node.api.put("pods", pod("a", WAIT))
            await node.phase("a", "Running")
            # A child that keeps the output open must not hold the answer for ever.
            out, status = await node.remote(exec_path("sleep 30 & echo done", output=1, error=1))
            assert out[1] == b"done\n" and status["status"] == "Success"

    asyncio.run(main())
