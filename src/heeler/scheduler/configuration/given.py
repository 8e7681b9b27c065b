"""A configuration as it is given: a file, its text, or an object; checked with the plugins that are installed here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from heeler.objects.value import Object
from heeler.scheduler.configuration.fields import GROUP_VERSION
from heeler.scheduler.configuration.load import check, default, load
from heeler.scheduler.configuration.profiles import Others, profiles

#: A KubeSchedulerConfiguration: a file, YAML, or an object, of which apiVersion and kind may be left out.
Given = str | Path | Mapping[str, Any]


class Checked(NamedTuple):
    """`others` are the plugins of packages that the configuration may name."""

    configuration: Object
    others: Others


def text_of(given: Given) -> str:
    """Raises OSError."""
    if isinstance(given, Path):
        return given.read_text()
    if isinstance(given, str):
        return given
    return json.dumps({"apiVersion": GROUP_VERSION, "kind": "KubeSchedulerConfiguration", **given})


def checked(text: str | None, election: Mapping[str, Any] | None = None) -> Checked:
    """None: upstream's defaults. Raises ConfigurationError, and ValueError for a plugin that is none.

    `election`: parts of leaderElection that go before the text's."""
    if text is None:
        return Checked(check(default(), election), Others())
    from heeler.scheduler.plugins.others import installed
    from heeler.scheduler.plugins.registry import Tools

    found = Checked(load(text, election), Others(installed()))
    profiles(found.configuration, Tools(), found.others)  # what is wrong is told before anything is started
    return found
