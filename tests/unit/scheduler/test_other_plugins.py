"""Plugins of others: the example of docs/how-to/scheduler-plugins.md, and what goes wrong in one."""

import asyncio
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.configuration.load import completed
from heeler.scheduler.configuration.profiles import Others, profiles
from heeler.scheduler.events import ADD, LABEL, NODE
from heeler.scheduler.plugins import others
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
    known = Others({name: adapted(name, plugin)})
    [made] = profiles(completed({"profiles": [given]}), Tools(), known).values()
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
    with pytest.raises(Rejected, match=r"^full moon$"):
        made.reserve[-1].reserve(pod_info(pod()), "a")
    with pytest.raises(Rejected, match="no licence"):
        asyncio.run(made.pre_bind[-1].pre_bind(pod_info(pod()), "a"))


NO_TEXT = "TypeError: the answer must be a text, and is "
PREPARE, FILTER, SCORE = (f'running "Odd" {point} plugin: ' for point in ("PreFilter", "filter", "score"))
TOO_LARGE = "OverflowError: the rating doesn't fit into 64 bits"


class Untellable(Exception):
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("method", "answer", "message"),
    [
        ("prepare", 5, f"{PREPARE}{NO_TEXT}int"),
        ("prepare", ["a"], f"{PREPARE}{NO_TEXT}list"),
        ("filter", 5, f"{FILTER}{NO_TEXT}int"),
        ("filter", b"no", f"{FILTER}{NO_TEXT}bytes"),
        ("filter", SystemExit(3), f"{FILTER}SystemExit: 3"),
        ("filter", StopIteration(), f"{FILTER}StopIteration: "),
        ("filter", asyncio.CancelledError(), f"{FILTER}CancelledError: "),
        ("filter", Untellable(), f"{FILTER}Untellable"),
        ("score", None, f"{SCORE}TypeError: the rating must be a number, and is NoneType"),
        ("score", "x", f"{SCORE}TypeError: the rating must be a number, and is str"),
        ("score", 2**70, f"{SCORE}{TOO_LARGE}"),
        ("score", -(2**63) - 1, f"{SCORE}{TOO_LARGE}"),
        ("score", 1e300, f"{SCORE}{TOO_LARGE}"),
        ("score", float("nan"), f"{SCORE}ValueError: cannot convert float NaN to integer"),
        ("score", float("inf"), f"{SCORE}OverflowError: cannot convert float infinity to integer"),
    ],
)
def test_an_answer_that_is_none_fails_the_attempt(method, answer, message):
    class Odd(Plugin):
        pass

    def respond(self, *given):
        if isinstance(answer, BaseException):
            raise answer
        return answer

    setattr(Odd, method, respond)

    async def main():  # as an attempt is made: in a task
        Setting(node("a"), node("b"), profile=profile(Odd)).choose(pod())

    with pytest.raises(PluginError) as error:
        asyncio.run(main())
    assert str(error.value) == message


@pytest.mark.parametrize("largest", [2**63 - 1, 2**62, 7, 7.9, np.int64(9), np.float64(9), True])
def test_ratings_of_any_size_are_scaled_to_the_highest(largest):
    class Sized(Plugin):
        def score(self, pod, node):
            return {"a": -5, "b": largest}[node.name]

    made = profile(Sized, score={"disabled": [{"name": "*"}], "enabled": [{"name": "Sized"}]})
    there = Setting(node("a"), node("b"), profile=made)
    [(rating, _)] = made.scores
    rows = np.array([there.cache.table.row(name) for name in ("a", "b")])
    assert rating.rate(there.cache.info(pod()), there.cache.table, rows).tolist() == [0, 100]


def test_a_method_that_answers_nothing_says_nothing_against_a_pod():
    class Silent(Plugin):
        def hold(self, pod): ...
        def prepare(self, pod): ...
        def filter(self, pod, node): ...
        def reserve(self, pod, node): ...
        async def pre_bind(self, pod, node): ...
        async def bind(self, pod, node): ...

    made = profile(Silent)
    info = pod_info(pod())
    assert made.pre_enqueue[-1].holds(pod()) == ""
    assert Setting(node("a"), profile=made).choose(pod()).node == "a"
    made.reserve[-1].reserve(info, "a")
    asyncio.run(made.pre_bind[-1].pre_bind(info, "a"))
    assert asyncio.run(made.binders[-1].bind(info, "a")) is False


def test_odd_answers_around_a_binding_are_told():
    class Odd(Plugin):
        def hold(self, pod):
            return 5

        def reserve(self, pod, node):
            return 5

        async def pre_bind(self, pod, node):
            return 7

        async def bind(self, pod, node):
            return "yes"

    made, info = profile(Odd), pod_info(pod())
    assert made.pre_enqueue[-1].holds(pod()) == f"{NO_TEXT}int"
    with pytest.raises(Rejected, match=f"^{NO_TEXT}int") as error:
        made.reserve[-1].reserve(info, "a")
    assert not error.value.unschedulable
    with pytest.raises(Rejected, match=f"^{NO_TEXT}int"):
        asyncio.run(made.pre_bind[-1].pre_bind(info, "a"))
    with pytest.raises(Rejected, match="TypeError: the answer must be True or False, and is str"):
        asyncio.run(made.binders[-1].bind(info, "a"))


def test_a_reason_is_told_without_what_no_json_can_hold():
    class Odd(Plugin):
        def filter(self, pod, node):
            return "no \ud800"

    assert "1 no ?." in Setting(node("a"), profile=profile(Odd)).choose(pod()).message


def test_a_hint_that_raises_lets_the_pod_be_tried():
    class Guessing(Plugin):
        hints = {(NODE, LABEL): lambda pod, old, new: 1 / 0, (NODE, ADD): None}

        def filter(self, pod, node):
            return ""

    hints = profile(Guessing).plugins["Guessing"].hints
    assert hints[NODE, LABEL](pod_info(pod()), None, None)
    assert hints[NODE, ADD] is None


@pytest.mark.parametrize(
    ("hints", "message"),
    [(5, "hints must be a mapping, and are int"), ({("a", "b"): 5}, "the hint for .* must be a function, and is int")],
)
def test_hints_that_are_none_are_told(hints, message):
    with pytest.raises(ConfigurationError, match=f'initializing plugin "Guessing": {message}'):
        profile(type("Guessing", (Plugin,), {"hints": hints, "filter": lambda self, pod, node: ""}))


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3)])
def test_a_plugin_that_cannot_be_made_is_told(error):
    class Unmakeable(Plugin):
        def __init__(self, arguments):
            raise error

        def filter(self, pod, node):
            return ""

    with pytest.raises(ConfigurationError, match=f'initializing plugin "Unmakeable": {type(error).__name__}: '):
        profile(Unmakeable)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere_at_all:Plugin", "can't be loaded: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("json:loads", "is no heeler.scheduler.plugins.others.Plugin"),
    ],
)
def test_a_package_whose_plugin_cannot_be_loaded_is_told(monkeypatch, value, message):
    point = EntryPoint("Mine", value, others.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    with pytest.raises(ValueError, match=re.escape(f"{value} (Mine) {message}")):
        others.installed()
