"""A part of a cluster: something that the composition root starts and stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Context = TypeVar("Context")


@dataclass(frozen=True, slots=True)
class Part(Generic[Context]):
    """`start` runs until it is cancelled; it begins once every part named in `needs` has called its ready function."""

    name: str
    start: Callable[[Context], Awaitable[None]]
    needs: tuple[str, ...] = ()
