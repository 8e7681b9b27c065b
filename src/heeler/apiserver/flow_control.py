"""How many requests may be under way at once: so many that read, so many that write, and none of the cluster's own
parts waits for a crowd of users.

A simple form of what priority and fairness does upstream: a request beyond the limit is answered 429 at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heeler.apiserver.user import MASTERS, User
from heeler.objects.status import too_many_requests

#: kube-apiserver's --max-requests-inflight and --max-mutating-requests-inflight.
MAX_READING = 400
MAX_WRITING = 200
_READING = ("get", "list", "watch", "head", "options")


class Seats:
    """Counts requests under way. Watches and upgraded connections give their seat back once they have begun."""

    def __init__(self, reading: int = MAX_READING, writing: int = MAX_WRITING) -> None:
        self._free = {"reading": reading, "writing": writing}
        self.refused = 0
        #: Requests of anybody that are being decided at this moment.
        self.under_way = 0

    @contextmanager
    def taken(self, verb: str, user: User) -> Iterator[None]:
        """Hold a seat. Raises 429."""
        self.under_way += 1
        try:
            with self._seat(verb, user):
                yield
        finally:
            self.under_way -= 1

    @contextmanager
    def _seat(self, verb: str, user: User) -> Iterator[None]:
        if MASTERS in user.groups or user.name.startswith(
            ("system:kube-", "system:node:", "system:serviceaccount:kube-system:")
        ):
            yield
            return
        which = "reading" if verb in _READING else "writing"
        if self._free[which] <= 0:
            self.refused += 1
            raise too_many_requests("too many requests, please try again later.", 1)
        self._free[which] -= 1
        try:
            yield
        finally:
            self._free[which] += 1

    def __repr__(self) -> str:
        return f"<Seats free={self._free} refused={self.refused}>"
