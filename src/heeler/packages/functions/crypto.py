"""sprig's crypto."""

from __future__ import annotations

from typing import Final

from heeler.packages.template.values import Function

FUNCTIONS: Final[list[Function]] = []
