"""Why a connection was not made, or broke, in the words of Go's net package: people and tools look for them."""

from __future__ import annotations

import errno
import os

#: What happens to a connection that stands already.
_BROKEN = {errno.ECONNRESET: "read", errno.EPIPE: "write"}


def dial_error(host: str, port: int, error: OSError, network: str = "tcp") -> str:
    """E.g. "dial tcp 127.0.0.1:9: connect: connection refused"."""
    shown = f"[{host}]" if ":" in host else host
    if error.errno in _BROKEN:
        what = _BROKEN[error.errno]
        return f"{what} {network} {shown}:{port}: {what}: {os.strerror(error.errno).lower()}"
    if error.errno:
        # Not `strerror`: asyncio puts a sentence of its own there.
        why = f"connect: {os.strerror(error.errno).lower()}"
    else:
        why = "i/o timeout" if isinstance(error, TimeoutError) else str(error)
    return f"dial {network} {shown}:{port}: {why}"
