"""Run by test_uplink.py inside a namespace that plays the host: a node with an uplink, and what it can reach.

Prints one JSON object. Arguments: a folder, an image archive, the address and port of a server "in the world".
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.containers.node import WAIT, pod, started


async def main(folder: Path, archive: Path, world: str, port: int) -> None:
    async with started(f"up{folder.name[-6:]}".lower().replace("_", ""), folder, archive, uplink=True) as node:
        node.api.put("pods", pod("a", WAIT))
        ip = (await node.phase("a", "Running"))["podIP"]
        fetched = await node.run_in("a", f"timeout 5 wget -q -O - http://{world}:{port}/")
        made = await asyncio.wait_for(node.node.netns.connect(world, port), 5)
        made.close()
        print(json.dumps({"pod": ip, "node": node.options.node_ip, "fetched": fetched}), flush=True)
        # The test tries to come in from the world while we wait for a line.
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
