"""Plugins of others: the example of docs/how-to/scheduler-plugins.md, and what goes wrong in one."""

import asyncio
import re
from pathlib import Path

import pytest

from heeler.scheduler.configuration.load import completed
from heeler.scheduler.configuration.profiles import Others, profiles
from heeler.scheduler.plugins.lifecycle import Rejected
from heeler.scheduler.plugins.others import Plugin, adapted
from heeler.scheduler.plugins.plugin import PluginError
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.pod import pod_info
from tests.unit.scheduler.setting import Setting, node, pod

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "scheduler-plugins.md"


def profile(plugin, args=None, **sets):
    name = plugin.__name__
    given = {
        "schedulerName": "default-scheduler",
        "plugins": sets or {"multiPoint": {"enabled": [{"name": name, "weight": 5}]}},
        "pluginConfig": [{"name": name, "args": args or {}}],
    }
    others = Others({name: adapted(name, plugin)})
    [made] = profiles(completed({"profiles": [given]}), Tools(), others).values()
    return made


def documented():
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = {}
    exec(code, found)
    return found["Quiet"]


def test_the_documented_plugin_filters_and_rates():
    loud = node("a", labels={"example.com/decibels": "55"})
    made = profile(documented(), {"maxDecibels": 50})
    assert (
        Setting(loud, profile=made)
        .choose(pod())
        .message.startswith("0/1 nodes are available: 1 node(s) were louder than 50 dB. preemption: ")
    )
    team = {"team": "x"}
    placed = [pod(f"p{at}", node_name="b", labels=team) for at in range(3)]
    there = Setting(node("b", cpu="8"), node("c", cpu="4"), placed=placed, profile=made)
    assert there.choose(pod(labels=team)).node == "c"


def test_a_plugin_extends_the_points_whose_methods_it_has():
    made = profile(documented())
    assert [one.name for one in made.filters][-1] == "Quiet"
    assert ("Quiet", 5) in [(one.name, weight) for one, weight in made.scores]
    assert "Quiet" not in [one.name for one in made.pre_enqueue]


def test_a_plugin_that_fails_fails_the_attempt():
    class Broken(Plugin):
        def filter(self, pod, node):
            raise KeyError("x")

    with pytest.raises(PluginError, match="running \"Broken\" filter plugin: KeyError: 'x'"):
        Setting(node("a"), profile=profile(Broken)).choose(pod())


def test_a_plugin_may_hold_pods_back_and_turn_a_choice_down():
    class Careful(Plugin):
        def hold(self, pod):
            return "" if pod["metadata"]["labels"] else "it has no labels"

        def reserve(self, pod, node):
            return "full moon"

        async def pre_bind(self, pod, node):
            return "no licence"

    made = profile(Careful)
    assert made.pre_enqueue[-1].holds(pod()) == "it has no labels"
    assert made.pre_enqueue[-1].holds(pod(labels={"a": "b"})) == ""
    with pytest.raises(Rejected, match='running Reserve plugin "Careful": full moon'):
        made.reserve[-1].reserve(pod_info(pod()), "a")
    with pytest.raises(Rejected, match="no licence"):
        asyncio.run(made.pre_bind[-1].pre_bind(pod_info(pod()), "a"))
