"""Reads what a person wrote in YAML or JSON: each fault names its field and says what would be right; all are told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from heeler.testing.clock import seconds_of


class ScenarioError(ValueError):
    """What is wrong with a scenario, one line a fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class Fields:
    """One mapping of a scenario. What was asked for is known; `done` complains of the rest."""

    def __init__(self, value: Any, where: str, faults: list[str]) -> None:
        self._where, self._faults = where, faults
        self._known: dict[str, None] = {}
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            self.wrong("", f"is {_shown(value)}, where fields with values should be")
            value = {}
        self._value: Mapping[str, Any] = {str(key): found for key, found in value.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def at(self, name: str) -> str:
        """A field's name as faults show it."""
        return f"{self._where}.{name}" if self._where and name else self._where or name

    def wrong(self, name: str, what: str) -> None:
        self._faults.append(f"{self.at(name) or 'the scenario'} {what}")

    def get(self, name: str) -> Any:
        self._known[name] = None
        return self._value.get(name)

    def text(self, name: str, default: str = "") -> str:
        found = self.get(name)
        if found is None:
            return default
        if isinstance(found, (str, int, float)) and not isinstance(found, bool):
            return str(found)
        self.wrong(name, f"is {_shown(found)}, where a text should be")
        return default

    def whole(self, name: str, default: int, *, least: int = 0, most: int = 1_000_000) -> int:
        found = self.get(name)
        if found is None:
            return default
        if isinstance(found, int) and not isinstance(found, bool) and least <= found <= most:
            return found
        self.wrong(name, f"is {_shown(found)}, where a whole number from {least} to {most} should be")
        return default

    def flag(self, name: str, default: bool = False) -> bool:
        found = self.get(name)
        if found is None or isinstance(found, bool):
            return default if found is None else found
        self.wrong(name, f"is {_shown(found)}, where true or false should be")
        return default

    def seconds(self, name: str, default: float = 0.0) -> float:
        """A duration: "90s", "1h30m", "3 days", or seconds."""
        found = self.get(name)
        return default if found is None else self._duration(name, found, default)

    def change(self, name: str) -> float:
        """A duration that may be negative ("-30s")."""
        found = self.get(name)
        if found is None:
            return 0.0
        if isinstance(found, str) and found.strip().startswith("-"):
            return -self._duration(name, found.strip()[1:], 0.0)
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            return float(found)
        return self._duration(name, found, 0.0)

    def _duration(self, name: str, found: Any, default: float) -> float:
        if isinstance(found, (str, int, float)) and not isinstance(found, bool):
            try:
                return seconds_of(found)
            except ValueError:
                pass
        self.wrong(name, f'is {_shown(found)}, where a duration like "90s", "1h30m" or "3 days" should be')
        return default

    def share(self, name: str, default: float = 0.0) -> float:
        """A number from 0 to 1, or a percentage."""
        found = self.get(name)
        if found is None:
            return default
        number: float | None = None
        if isinstance(found, str) and found.strip().endswith("%"):
            number = _number(found.strip()[:-1])
            number = None if number is None else number / 100
        elif isinstance(found, (int, float)) and not isinstance(found, bool):
            number = float(found)
        if number is None or not 0 <= number <= 1:
            self.wrong(name, f'is {_shown(found)}, where a share like 0.01 or "1%" should be')
            return default
        return number

    def one_of(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        found = self.get(name)
        if found is None and default:
            return default
        if isinstance(found, str) and found in allowed:
            return found
        self.wrong(name, f"is {_shown(found)}, where one of {', '.join(allowed)} should be")
        return default or allowed[0]

    def items(self, name: str) -> Iterator[Fields]:
        """The mappings of a list."""
        found = self.get(name)
        if found is None:
            return
        if not isinstance(found, Sequence) or isinstance(found, str):
            self.wrong(name, f"is {_shown(found)}, where a list should be")
            return
        for number, value in enumerate(found):
            yield Fields(value, f"{self.at(name)}[{number}]", self._faults)

    def fields(self, name: str) -> Fields:
        return Fields(self.get(name), self.at(name), self._faults)

    def texts(self, name: str) -> list[str]:
        found = self.get(name)
        if found is None:
            return []
        if isinstance(found, str):
            return [found]
        if isinstance(found, Sequence) and all(isinstance(one, str) for one in found):
            return list(found)
        self.wrong(name, f"is {_shown(found)}, where a list of texts should be")
        return []

    def done(self) -> None:
        """Whatever nobody asked for is a mistake."""
        for name in self._value:
            if name not in self._known:
                near = difflib.get_close_matches(name, list(self._known), 1)
                self.wrong(name, f"isn't known{f'; {near[0]} is' if near else ''} (there are {', '.join(self._known)})")


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
