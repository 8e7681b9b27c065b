"""Randomness, handed in. The only module that may import `random`, `secrets` or `uuid`.

`SystemRandom` is cryptographic; `SeededRandom` gives the same sequence for the same seed, for simulation.
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")

#: The letters of generated names: no vowels and no 0, 1, 3, so that no words come about (apimachinery's `rand`).
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Random(Protocol):
    """What a part may draw."""

    def uuid(self) -> str:
        """A version 4 UUID as text."""
        ...

    def bytes(self, count: int) -> bytes:
        """So many random bytes."""
        ...

    def below(self, limit: int) -> int:
        """A whole number from 0 up to and not including `limit`."""
        ...

    def fraction(self) -> float:
        """A number from 0 up to and not including 1."""
        ...


class SystemRandom:
    """The operating system's source."""

    def uuid(self) -> str:
        return str(uuid.uuid4())

    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def below(self, limit: int) -> int:
        return secrets.randbelow(limit)

    def fraction(self) -> float:
        return random.random()


class SeededRandom:
    """The same draws for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)

    def fraction(self) -> float:
        return self._random.random()


def name_suffix(source: Random, length: int = 5) -> str:
    """The ending of a generated name, e.g. `x7k2f`."""
    return "".join(NAME_LETTERS[source.below(len(NAME_LETTERS))] for _ in range(length))


def choice(source: Random, items: Sequence[T]) -> T:
    """One of `items`, which must not be empty."""
    return items[source.below(len(items))]
