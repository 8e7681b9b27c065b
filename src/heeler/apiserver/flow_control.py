"""How many requests may be under way at once: so many that read, so many that write, and none of the cluster's own
parts waits for a crowd of users.

A simple form of what priority and fairness does upstream: a request beyond the limit is answered 429 at once.
"""

from __future__ import annotations

from typing import Literal

from heeler.apiserver.user import MASTERS, User
from heeler.objects.status import too_many_requests

#: kube-apiserver's --max-requests-inflight and --max-mutating-requests-inflight.
MAX_READING = 400
MAX_WRITING = 200
_READING = ("get", "list", "watch", "head", "options")
#: How the names of the cluster's own parts begin.
_OWN = ("system:kube-", "system:node:", "system:serviceaccount:kube-system:")

#: Which kind of request holds it; "" for those that need none.
Seat = Literal["", "reading", "writing"]


class Seats:
    """Counts requests under way. Watches and upgraded connections give their seat back once they have begun."""

    def __init__(self, reading: int = MAX_READING, writing: int = MAX_WRITING) -> None:
        self._free: dict[Seat, int] = {"reading": reading, "writing": writing}
        self.refused = 0
        #: Requests of anybody that are being decided at this moment.
        self.under_way = 0

    def take(self, verb: str, user: User) -> Seat:
        """A seat, to be given back. Raises 429."""
        seat: Seat = ""
        if MASTERS not in user.groups and not user.name.startswith(_OWN):
            seat = "reading" if verb in _READING else "writing"
            if self._free[seat] <= 0:
                self.refused += 1
                raise too_many_requests("too many requests, please try again later.", 1)
            self._free[seat] -= 1
        self.under_way += 1
        return seat

    def give_back(self, seat: Seat) -> None:
        self.under_way -= 1
        if seat:
            self._free[seat] += 1

    def __repr__(self) -> str:
        return f"<Seats free={self._free} refused={self.refused}>"
