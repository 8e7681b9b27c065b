"""Images of archives on a real node: loaded once, only what is missing is sent, removed again."""

from __future__ import annotations

import asyncio
from pathlib import Path

from heeler.images import layout, load
from heeler.images.archive import Archive
from tests.containers.node import WAIT, pod, started


def test_an_image_is_loaded_once_and_a_changed_one_by_its_new_layers(
    cluster: str, tmp_path: Path, archive: Path
) -> None:
    def make(name: str, content: str) -> Path:
        path = tmp_path / f"{name.replace(':', '_')}{content}.tar"
        entries = [layout.Entry("etc/told", content.encode())]
        layout.write(path, name, [layout.Image(layout.machine_architecture(), entries)])
        return path

    async def main() -> None:
        async with started(cluster, tmp_path, archive) as node:
            socket, root = node.options.containerd_socket, node.node.paths.root
            again = await load.load(socket, archive, root)
            assert (again.names, again.fresh) == (["docker.io/library/busybox:1"], False)
            first, same, other = make("a:1", "x"), make("b:1", "x"), make("a:1", "y")
            assert (await load.load(socket, first, root)).fresh
            with Archive(same) as opened:
                [image] = opened.images()
                assert [d for d in image.blobs if not (load.blobs_folder(root) / d[7:]).exists()] == [], image
            assert (await load.load(socket, same, root)).fresh, "its name is new"
            assert (await load.load(socket, other, root)).fresh
            assert {"docker.io/library/a:1", "docker.io/library/b:1"} <= (await load.present(socket)).keys()
            assert await load.remove(socket, "b:1") and not await load.remove(socket, "b:1")
            assert "docker.io/library/b:1" not in await load.present(socket)
            shown = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
            volume = {"name": "v", "image": {"reference": "a:1"}}
            node.api.put("pods", pod("runs", f"cat /v/etc/told; touch /v/x; {WAIT}", container=shown, volumes=[volume]))
            await node.phase("runs", "Running")
            await node.until(lambda: bool(node.node.agent.logs()))
            assert (await node.run_in("runs", "cat /v/etc/told; touch /v/x")).startswith("ytouch: /v/x: Read-only")
            await node.delete("runs")

    asyncio.run(main())
