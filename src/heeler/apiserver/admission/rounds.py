"""The two rounds of policies and webhooks that change a write.

Who asks for it (`reinvocationPolicy: IfNeeded`) acts once more, if something has changed the object since; for webhooks
that is something else, for policies (as kube-apiserver 1.37 answers) their own change too. Source:
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#reinvocation-policy
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from heeler.objects.value import Object


@dataclass(slots=True)
class Rounds:
    """What is remembered between the two rounds of one write: who acted and may act again, who shall, what came out last."""

    acted: dict[tuple[str, ...], None] = field(default_factory=dict)
    again: dict[tuple[str, ...], None] = field(default_factory=dict)
    #: The object as it came out of the first round; only where somebody may act again.
    last: bytes = b""

    def end(self, obj: Object | None) -> None:
        """A round is over."""
        self.last = orjson.dumps(obj) if self.acted else b""

    def begin_again(self, obj: Object | None) -> None:
        """The second round: did others change the object after the first?"""
        if self.acted and orjson.dumps(obj) != self.last:
            self.changed()

    def changed(self) -> None:
        """Whoever acted before and asked for it is to act again."""
        self.again |= self.acted
        self.acted.clear()
