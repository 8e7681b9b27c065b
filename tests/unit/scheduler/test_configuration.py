"""https://kubernetes.io/docs/reference/scheduling/config/ — the words are kube-scheduler's (1.37.2)."""

import json

import pytest

from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.configuration.load import load
from heeler.scheduler.configuration.profiles import profiles
from heeler.scheduler.plugins.registry import Tools
from tests.unit.scheduler.setting import Setting, node, pod

VERSION = "kubescheduler.config.k8s.io/v1"


def given(**fields):
    return json.dumps({"apiVersion": VERSION, "kind": "KubeSchedulerConfiguration", **fields})


def with_plugins(**sets):
    return {"profiles": [{"schedulerName": "default-scheduler", "plugins": sets}]}


def with_args(plugin, **args):
    config = {"name": plugin, "args": {"apiVersion": VERSION, "kind": f"{plugin}Args", **args}}
    return {"profiles": [{"schedulerName": "default-scheduler", "pluginConfig": [config]}]}


def made(**fields):
    return profiles(load(given(**fields)), Tools())


MAKING = "initializing profiles: creating profile for scheduler name default-scheduler: "
ARGS = "profiles[0].pluginConfig[0].args"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"foo": 1}, 'strict decoding error: unknown field "foo"'),
        (
            {"apiVersion": "kubescheduler.config.k8s.io/v1beta3"},
            'no kind "KubeSchedulerConfiguration" is registered for version "kubescheduler.config.k8s.io/v1beta3" in '
            'scheme "pkg/runtime/scheme.go:111"',
        ),
        ({"parallelism": 0}, "parallelism: Invalid value: 0: should be an integer value greater than zero"),
        (
            {"percentageOfNodesToScore": 101},
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
        ),
        ({"podInitialBackoffSeconds": 0}, "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0"),
        (
            {"podInitialBackoffSeconds": 5, "podMaxBackoffSeconds": 2},
            "podMaxBackoffSeconds: Invalid value: 2: must be greater than or equal to PodInitialBackoffSeconds",
        ),
        ({"profiles": [{}, {"schedulerName": "a"}]}, "profiles[0].schedulerName: Required value"),
        (
            {"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]},
            "profiles[1].schedulerName: Duplicate value: {}",
        ),
        (with_plugins(multiPoint={"enabled": [{"name": "Foo"}]}), MAKING + 'PreFilterPlugin "Foo" does not exist'),
        (with_plugins(filter={"enabled": [{"name": "Foo"}]}), MAKING + 'FilterPlugin "Foo" does not exist'),
        (
            with_plugins(filter={"enabled": [{"name": "NodeName"}, {"name": "NodeName"}]}),
            MAKING + 'plugin "NodeName" already registered as "FilterPlugin"',
        ),
        (
            with_plugins(score={"enabled": [{"name": "NodeName"}]}),
            MAKING + 'plugin "NodeName" does not extend ScorePlugin plugin',
        ),
        (
            with_plugins(queueSort={"disabled": [{"name": "*"}]}),
            MAKING
            + 'only one queue sort plugin required for profile with scheduler name "default-scheduler", but got 0',
        ),
        (
            with_plugins(bind={"disabled": [{"name": "*"}]}),
            MAKING + 'at least one bind plugin is needed for profile with scheduler name "default-scheduler"',
        ),
        (
            with_args("NodeResourcesFit", scoringStrategy={"type": "Foo"}),
            MAKING
            + 'initializing plugin "NodeResourcesFit": scoringStrategy.type: Unsupported value: "Foo": supported '
            'values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"',
        ),
        (
            with_args(
                "NodeResourcesFit",
                scoringStrategy={
                    "type": "LeastAllocated",
                    "resources": [{"name": "cpu", "weight": 0}, {"name": "memory", "weight": 101}],
                },
            ),
            MAKING + 'initializing plugin "NodeResourcesFit": scoringStrategy.resources[1].weight: Invalid value: 101: '
            "resource weight of memory not in valid range (0, 100]",
        ),
        (
            with_args("NodeResourcesBalancedAllocation", resources=[{"name": "cpu", "weight": 2}, {"name": "cpu"}]),
            f"[{ARGS}.resources[0].weight: Invalid value: 2: must be 1, "
            f'{ARGS}.resources[1].name: Duplicate value: "cpu"]',
        ),
        (
            with_args(
                "PodTopologySpread",
                defaultConstraints=[{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "ScheduleAnyway"}],
            ),
            f'{ARGS}.defaultingType: Invalid value: "System": when .defaultConstraints are not empty',
        ),
        (
            with_args("PodTopologySpread", defaultingType="List", defaultConstraints=[{"whenUnsatisfiable": "X"}]),
            f"[{ARGS}.defaultConstraints[0].maxSkew: Invalid value: 0: not in valid range (0, inf), "
            f"{ARGS}.defaultConstraints[0].topologyKey: Required value: can not be empty, "
            f'{ARGS}.defaultConstraints[0].whenUnsatisfiable: Unsupported value: "X": supported values: '
            '"DoNotSchedule", "ScheduleAnyway"]',
        ),
        (
            with_args("InterPodAffinity", hardPodAffinityWeight=101),
            f"{ARGS}.hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]",
        ),
        (
            with_args("VolumeBinding", bindTimeoutSeconds=-1),
            f"{ARGS}.bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value",
        ),
        (
            with_args("DefaultPreemption", minCandidateNodesPercentage=0, minCandidateNodesAbsolute=0),
            f"[{ARGS}.minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as "
            f"minCandidateNodesAbsolute, {ARGS}.minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same "
            "time as minCandidateNodesPercentage]",
        ),
        (
            with_args("DynamicResources", filterTimeout="-1s"),
            f'{ARGS}.filterTimeout: Invalid value: "-1s": must be zero or positive',
        ),
        (
            with_args("NodeAffinity", kind="InterPodAffinityArgs"),
            "decoding .profiles[0].pluginConfig[0]: args for plugin NodeAffinity were not of type "
            "NodeAffinityArgs.kubescheduler.config.k8s.io, got InterPodAffinityArgs.kubescheduler.config.k8s.io",
        ),
        (
            with_args("NodeAffinity", foo=1),
            "strict decoding error: decoding .profiles[0].pluginConfig[0]: strict decoding error: decoding args for "
            'plugin NodeAffinity: strict decoding error: unknown field "foo"',
        ),
        (
            {"profiles": [{"pluginConfig": [{"name": "NodeAffinity"}, {"name": "NodeAffinity"}]}]},
            'profiles[0].pluginConfig[1]: Duplicate value: "NodeAffinity"',
        ),
        (
            {
                "extenders": [
                    {"urlPrefix": "http://x", "prioritizeVerb": "p", "weight": 0},
                    {"urlPrefix": "http://y", "bindVerb": "b"},
                    {"urlPrefix": "http://z", "bindVerb": "b", "managedResources": [{"name": "foo"}]},
                ]
            },
            "[extenders[0].weight: Invalid value: 0: must have a positive weight applied to it, "
            'extenders[2].managedResources[0].name: Invalid value: "foo": is an invalid extended resource name, '
            'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind]',
        ),
        (
            {
                "profiles": [
                    {"schedulerName": "a"},
                    {"schedulerName": "b", "plugins": {"queueSort": {"disabled": [{"name": "*"}]}}},
                ]
            },
            'profiles[1].plugins.queueSort: Invalid value: {"Enabled":null,"Disabled":[{"Name":"*","Weight":0}]}: '
            "must be the same for all profiles",
        ),
    ],
)
def test_what_is_wrong_is_told_in_upstreams_words(fields, message):
    with pytest.raises(ConfigurationError) as caught:
        made(**fields)
    assert str(caught.value) == message


def test_a_type_that_is_wrong_is_named_with_its_field():
    with pytest.raises(
        ConfigurationError, match=r"cannot unmarshal string into Go struct field \S+parallelism of type int32"
    ):
        load(given(parallelism="many"))


def test_without_a_word_the_profile_is_upstreams():
    [profile] = made().values()
    assert [(plugin.name, weight) for plugin, weight in profile.scores] == [
        ("TaintToleration", 3),
        ("NodeAffinity", 2),
        ("NodeResourcesFit", 1),
        ("PodTopologySpread", 2),
        ("InterPodAffinity", 2),
        ("DynamicResources", 2),
        ("NodeResourcesBalancedAllocation", 1),
        ("ImageLocality", 1),
    ]
    assert [plugin.name for plugin in profile.pre_enqueue] == [
        "SchedulingGates",
        "DynamicResources",
        "DefaultPreemption",
    ]


def test_points_are_changed_one_by_one():
    sets = {
        "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 7}]},
        "filter": {"disabled": [{"name": "TaintToleration"}]},
        "multiPoint": {"disabled": [{"name": "NodePorts"}], "enabled": [{"name": "NodeAffinity", "weight": 9}]},
    }
    [profile] = made(**with_plugins(**sets)).values()
    assert [(plugin.name, weight) for plugin, weight in profile.scores] == [("NodeResourcesFit", 7)]
    filters = [plugin.name for plugin in profile.filters]
    assert "TaintToleration" not in filters and "NodePorts" not in filters and "NodeAffinity" in filters


def choose(what, *nodes, placed=(), **fields):
    [profile] = made(**fields).values()
    return Setting(*nodes, placed=placed, profile=profile).choose(what)


def test_the_fuller_node_is_taken_where_that_is_asked_for():
    placed = [pod("x", cpu="2", node_name="a")]
    most = {"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}
    only = with_args("NodeResourcesFit", scoringStrategy=most)
    only["profiles"][0]["plugins"] = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit"}]}}
    assert choose(pod(cpu="1"), node("a"), node("b"), placed=placed, **only).node == "a"
    points = [{"utilization": 0, "score": 10}, {"utilization": 100, "score": 0}]
    strategy = only["profiles"][0]["pluginConfig"][0]["args"]["scoringStrategy"]
    strategy |= {"type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": points}}
    assert choose(pod(cpu="1"), node("a"), node("b"), placed=placed, **only).node == "b"


def test_an_ignored_group_of_resources_isnt_looked_at():
    asks = pod()
    asks["spec"]["containers"][0]["resources"] = {"requests": {"example.com/gpu": "1"}}
    assert "Insufficient example.com/gpu" in choose(asks, node("a")).message
    assert choose(asks, node("a"), **with_args("NodeResourcesFit", ignoredResourceGroups=["example.com"])).node == "a"


def test_a_profile_may_keep_its_pods_to_some_nodes():
    term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["x"]}]}
    added = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    kept = with_args("NodeAffinity", addedAffinity=added)
    assert choose(pod(), node("a"), node("b", labels={"pool": "x"}), **kept).node == "b"
    assert choose(pod(), node("a"), **kept).message.startswith(
        "0/1 nodes are available: 1 node(s) didn't match scheduler-enforced node affinity."
    )


def test_a_profile_without_preemption_says_nothing_of_it():
    none = with_plugins(postFilter={"disabled": [{"name": "DefaultPreemption"}]})
    assert choose(pod(cpu="9"), node("a"), **none).message == "0/1 nodes are available: 1 Insufficient cpu."
