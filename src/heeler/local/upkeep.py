"""What a local cluster's daemons do now and then for themselves: logs kept short, certificates renewed and taken up.

Everything goes by the wall clock as it is then: after a sleep or a jump of it, the next look puts things right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heeler.base.clock import Clock
from heeler.base.files import shorten
from heeler.client import kubeconfig
from heeler.local import certificates
from heeler.local.layout import Layout, real_names

if TYPE_CHECKING:
    from heeler.cluster import Context

log = logging.getLogger(__name__)

#: Seconds between looks; bytes of a log before its older part is put aside.
PERIOD, MAX_LOG = 60.0, 16 << 20


async def keep(logs: Sequence[Path], look: Callable[[], None], clock: Clock) -> None:
    """Until cancelled; what fails is tried again at the next look."""
    while True:
        await clock.sleep(PERIOD)
        for path in logs:
            try:
                await asyncio.to_thread(shorten, path, MAX_LOG)
            except OSError as error:
                log.warning("the log %s is not shortened: %s", path, error)
        try:
            await asyncio.to_thread(look)
        except (OSError, ValueError) as error:
            log.warning("certificates are not renewed: %s", error)


def renew(layout: Layout, found: Context) -> None:
    """In the control plane: make certificates anew that near their end, and use them; the person's kubeconfig gets theirs.

    Raises OSError, ValueError."""
    spec = layout.load() or found.spec  # what nodes there are may have changed since the start
    certificates.prepare(layout, spec, real_names(spec), found.clock)
    if found.certificate is not None:
        found.certificate.look()
    connections = found.server.nodes
    if connections is not None:
        connections.renew()
    proxy = found.server.aggregator.transport.credentials
    if proxy is not None:
        proxy.renew()
    if spec.kubeconfig:
        fresh = kubeconfig.entry(spec.context, certificates.admin_access(layout, spec))
        kubeconfig.renew_in(Path(spec.kubeconfig), spec.context, fresh)
