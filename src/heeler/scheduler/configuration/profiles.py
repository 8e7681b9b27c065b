"""Profiles from a configuration: which plugins are asked at which extension point, in which order, with which weights.

https://kubernetes.io/docs/reference/scheduling/config/#profiles
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heeler.objects.value import Object
from heeler.scheduler.configuration import rules
from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.configuration.load import arguments, default
from heeler.scheduler.plugins.default_preemption import DefaultPreemption
from heeler.scheduler.plugins.registry import DEFAULT, EXTENDS, FACTORIES, Factory, Tools
from heeler.scheduler.profile import Profile

#: Extension points in the order in which upstream fills them, with their types' names.
POINTS = {
    "preEnqueue": "PreEnqueuePlugin",
    "preFilter": "PreFilterPlugin",
    "filter": "FilterPlugin",
    "postFilter": "PostFilterPlugin",
    "preScore": "PreScorePlugin",
    "score": "ScorePlugin",
    "reserve": "ReservePlugin",
    "permit": "PermitPlugin",
    "preBind": "PreBindPlugin",
    "bind": "BindPlugin",
    "postBind": "PostBindPlugin",
    "queueSort": "QueueSortPlugin",
}


class Others:
    """Plugins that aren't ours, by name: how they are made, and which points they extend."""

    def __init__(self, factories: Mapping[str, tuple[Factory, tuple[str, ...]]] | None = None) -> None:
        self._factories = dict(factories or {})

    def extends(self, name: str) -> tuple[str, ...] | None:
        """None: there is no such plugin."""
        if name in EXTENDS:
            return EXTENDS[name]
        return self._factories[name][1] if name in self._factories else None

    def factory(self, name: str) -> Factory:
        return FACTORIES[name] if name in FACTORIES else self._factories[name][0]


def profiles(configuration: Object, tools: Tools, others: Others | None = None) -> dict[str, Profile]:
    """By the names of their schedulers. Raises ConfigurationError."""
    others = others or Others()
    out = {}
    for given in configuration["profiles"]:
        name = given["schedulerName"]
        try:
            out[name] = _profile(given, configuration, tools, others)
        except ConfigurationError as error:
            where = f"initializing profiles: creating profile for scheduler name {name}"
            raise ConfigurationError(f"{where}: {error}") from error
    return out


def _profile(given: Object, configuration: Object, tools: Tools, others: Others) -> Profile:
    enabled = points(given.get("plugins") or {}, others)
    made: dict[str, Any] = {}
    configs = {config.get("name", ""): config.get("args") for config in given.get("pluginConfig") or ()}
    ignored = [
        managed.get("name", "")
        for extender in configuration.get("extenders") or ()
        for managed in extender.get("managedResources") or ()
        if managed.get("ignoredByScheduler")
    ]
    for point in POINTS:
        for name, _ in enabled[point]:
            if name not in made:
                made[name] = _made(name, configs.get(name), tools, others, ignored)
    names = {point: [name for name, _ in plugins] for point, plugins in enabled.items()}
    asked = [name for name in dict.fromkeys([*names["filter"], *names["preFilter"]]) if made[name] is not None]
    if len(names["queueSort"]) != 1:
        text = f'only one queue sort plugin required for profile with scheduler name "{given["schedulerName"]}"'
        raise ConfigurationError(f"{text}, but got {len(names['queueSort'])}")
    if not names["bind"]:
        text = f'at least one bind plugin is needed for profile with scheduler name "{given["schedulerName"]}"'
        raise ConfigurationError(text)
    preemption = made.get("DefaultPreemption")
    percentage = given.get("percentageOfNodesToScore")
    if percentage is None:
        percentage = configuration.get("percentageOfNodesToScore")
    order = list(made)
    return Profile(
        name=given["schedulerName"],
        filters=tuple(made[name] for name in sorted(asked, key=_place(names, order))),
        scores=tuple((made[name], weight or 1) for name, weight in enabled["score"] if hasattr(made[name], "rate")),
        pre_enqueue=tuple(made[name] for name in names["preEnqueue"]),
        reserve=tuple(made[name] for name in names["reserve"]),
        permit=tuple(made[name] for name in names["permit"]),
        pre_bind=tuple(made[name] for name in names["preBind"]),
        binders=tuple(made[name] for name in names["bind"] if name != "DefaultBinder"),
        post_bind=tuple(made[name] for name in order if hasattr(made[name], "post_bind")),
        percentage=percentage or None,
        preemption_percentage=preemption.percentage if isinstance(preemption, DefaultPreemption) else 10,
        preemption_absolute=preemption.absolute if isinstance(preemption, DefaultPreemption) else 100,
        plugins={name: one for name, one in made.items() if one is not None},
        preempts="DefaultPreemption" in names["postFilter"],
        frees="DynamicResources" in names["postFilter"],
    )


def _place(names: Mapping[str, list[str]], order: list[str]) -> Any:
    """Filters are asked in their own order; what only looks at pods before comes where it stands there."""
    filters = names["filter"]

    def place(name: str) -> tuple[int, int]:
        return (filters.index(name), 1) if name in filters else (0, order.index(name) - len(order))

    return place


def _made(name: str, args: Any, tools: Tools, others: Others, ignored: list[str]) -> Any:
    if name in FACTORIES or name in EXTENDS:
        args = arguments(name, args if isinstance(args, dict) else None)
    elif args is not None and not isinstance(args, dict):
        raise ConfigurationError(f'initializing plugin "{name}": its args are no object')
    if name == "NodeResourcesFit":
        assert args is not None
        faults = list(rules.fit(args, ""))
        if faults:
            raise ConfigurationError(f'initializing plugin "{name}": {rules.told(faults)}')
        args = {**args, "ignoredResources": [*(args.get("ignoredResources") or ()), *ignored]}
    if name in EXTENDS and name not in FACTORIES:
        return None  # the queue sorts and the binder binds by themselves
    try:
        return others.factory(name)(tools, args or {})
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f'initializing plugin "{name}": {error}') from error


Enabled = dict[str, list[tuple[str, int]]]


def points(plugins: Object, others: Others) -> Enabled:
    """What is enabled at each point, with weights. Raises ConfigurationError."""
    everywhere = _merged(plugins.get("multiPoint") or {})
    own: Enabled = {}
    for point, type in POINTS.items():
        own[point] = []
        for one in (plugins.get(point) or {}).get("enabled") or ():
            name = one.get("name", "")
            extended = others.extends(name)
            if extended is None:
                raise ConfigurationError(f'{type} "{name}" does not exist')
            if point not in extended:
                raise ConfigurationError(f'plugin "{name}" does not extend {type} plugin')
            if any(name == known for known, _ in own[point]):
                raise ConfigurationError(f'plugin "{name}" already registered as "{type}"')
            own[point].append((name, int(one.get("weight") or 0)))
    for name, _ in everywhere:
        if others.extends(name) is None:
            raise ConfigurationError(f'PreFilterPlugin "{name}" does not exist')
    return {point: _at(point, plugins, own[point], everywhere, others) for point in POINTS}


def _merged(given: Object) -> list[tuple[str, int]]:
    """The default plugins for all points, as they are changed: some are gone, some have another weight, others follow."""
    gone = [one.get("name", "") for one in given.get("disabled") or ()]
    chosen = {one.get("name", ""): int(one.get("weight") or 0) for one in given.get("enabled") or ()}
    kept = [] if "*" in gone else [(name, weight) for name, weight in DEFAULT if name not in gone]
    out = [(name, chosen.pop(name) if name in chosen else weight) for name, weight in kept]
    return [*out, *chosen.items()]


def _at(
    point: str, plugins: Object, own: list[tuple[str, int]], everywhere: list[tuple[str, int]], others: Others
) -> list[tuple[str, int]]:
    """First those that both name, in the point's order, then those for all points, then the rest of the point's."""
    gone = [one.get("name", "") for one in (plugins.get(point) or {}).get("disabled") or ()]
    general = {name: weight for name, weight in everywhere if point in (others.extends(name) or ())}
    both = [(name, weight or general[name]) for name, weight in own if name in general]
    if "*" in gone:
        general = {}
    rest = [(name, weight) for name, weight in general.items() if name not in gone and name not in dict(own)]
    return [*both, *rest, *(one for one in own if one not in both and one[0] not in dict(both))]


def default_profile(tools: Tools) -> Profile:
    """Upstream's."""
    [profile] = profiles(default(), tools).values()
    return profile
