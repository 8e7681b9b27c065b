"""One nft table in a node's namespace, kept as it is wanted: by the difference where it is known, else made anew."""

from __future__ import annotations

from pathlib import Path

import orjson

from heeler.base.processes import check, run
from heeler.network import transaction
from heeler.network.nft import Ruleset


class Table:
    """`apply` in one transaction. `forget` after a failure, or when somebody else may have changed the table."""

    def __init__(self, name: str, netns: Path) -> None:
        self.name, self._netns = name, netns
        self.have: Ruleset | None = None

    async def apply(self, wanted: Ruleset) -> bool:
        """True if something changed. Raises ProgramError; what is there counts as unknown then."""
        if self.have is None:
            document = transaction.full(self.name, wanted)
        else:
            found = transaction.delta(self.name, self.have, wanted)
            if found is None:
                self.have = wanted
                return False
            document = found
        self.have = None
        await check(["nsenter", f"--net={self._netns}", "nft", "-j", "-f", "-"], input=orjson.dumps(document))
        self.have = wanted
        return True

    def forget(self) -> None:
        self.have = None

    async def is_there(self, chain: str) -> bool:
        """Whether the table has this chain."""
        done = await run(["nsenter", f"--net={self._netns}", "nft", "list", "chain", "ip", self.name, chain])
        return done.code == 0
