"""What the API server counts, in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer


def text(server: ApiServer) -> bytes:
    """The page at /metrics (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
    lines = ["# TYPE apiserver_storage_objects gauge"]
    for cache in server.cache:
        resource = f"{cache.kind.plural}.{cache.kind.group}" if cache.kind.group else cache.kind.plural
        lines.append(f'apiserver_storage_objects{{resource="{resource}"}} {len(cache.items)}')
    lines.append("# TYPE apiserver_registered_watchers gauge")
    for cache in server.cache:
        if cache.watchers:
            lines.append(f'apiserver_registered_watchers{{resource="{cache.kind.plural}"}} {len(cache.watchers)}')
    lines += [
        "# TYPE heeler_store_revision counter",
        f"heeler_store_revision {server.store.revision}",
        "# TYPE apiserver_flowcontrol_rejected_requests_total counter",
        f"apiserver_flowcontrol_rejected_requests_total {server.seats.refused}",
    ]
    return ("\n".join(lines) + "\n").encode()
