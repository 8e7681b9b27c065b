"""https://kubernetes.io/docs/reference/scheduling/config/ — the words are kube-scheduler's (1.37.2)."""

import copy
import json

import pytest

from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.configuration.load import load
from heeler.scheduler.configuration.profiles import Others, profiles
from heeler.scheduler.extender import Extender
from heeler.scheduler.plugins.others import Plugin, adapted
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


HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
DECODING = "decoding .profiles[0].pluginConfig[0]: "
NO_JSON = "couldn't get version/kind; json parse error: json: cannot unmarshal"
TOO_LONG = "99999999999999h"


def args_of(plugin, args):
    return {"profiles": [{"pluginConfig": [{"name": plugin, "args": args}]}]}


def into(kind, field, type):
    return f"json: cannot unmarshal {kind} into Go struct field {field} of type {type}"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parallelism": "x"}, into("string", "KubeSchedulerConfiguration.parallelism", "int32")),
        (
            {"percentageOfNodesToScore": 2**31},
            into("number 2147483648", "KubeSchedulerConfiguration.percentageOfNodesToScore", "int32"),
        ),
        (
            {"percentageOfNodesToScore": 1.5},
            into("number 1.5", "KubeSchedulerConfiguration.percentageOfNodesToScore", "int32"),
        ),
        (
            {"podMaxBackoffSeconds": 2**63},
            into(f"number {2**63}", "KubeSchedulerConfiguration.podMaxBackoffSeconds", "int64"),
        ),
        ({"profiles": "x"}, into("string", "KubeSchedulerConfiguration.profiles", "[]v1.KubeSchedulerProfile")),
        ({"profiles": ["x"]}, into("string", "KubeSchedulerConfiguration.profiles", "v1.KubeSchedulerProfile")),
        ({"profiles": [{"schedulerName": 5}]}, into("number", "KubeSchedulerProfile.profiles.schedulerName", "string")),
        (
            with_plugins(score={"enabled": "x"}),
            into("string", "PluginSet.profiles.plugins.score.enabled", "[]v1.Plugin"),
        ),
        (
            with_plugins(score={"enabled": [{"name": "NodeAffinity", "weight": "1"}]}),
            into("string", "Plugin.profiles.plugins.score.enabled.weight", "int32"),
        ),
        ({"extenders": [{"weight": "x"}]}, into("string", "Extender.extenders.weight", "int64")),
        ({"extenders": [{"httpTimeout": 5}]}, into("number", "Extender.extenders.httpTimeout", "string")),
        ({"extenders": [{"httpTimeout": None}]}, 'time: invalid duration ""'),
        ({"extenders": [{"httpTimeout": "5"}]}, 'time: missing unit in duration "5"'),
        ({"extenders": [{"httpTimeout": "5x"}]}, 'time: unknown unit "x" in duration "5x"'),
        ({"leaderElection": {"leaseDuration": None}}, 'time: invalid duration ""'),
        (
            {"leaderElection": {"leaseDuration": "5s", "retryPeriod": "0s", "resourceLock": "endpoints"}},
            '[leaderElection.leaseDuration: Invalid value: "10s": must be greater than `RenewDeadline`, '
            'leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"]',
        ),
        (
            {"leaderElection": {"leaseDuration": "-5.5s", "renewDeadline": "-1h10m", "retryPeriod": "-1us"}},
            '[leaderElection.leaseDuration: Invalid value: "-5.5s": must be greater than zero, '
            'leaderElection.renewDeadline: Invalid value: "-1h10m0s": must be greater than zero, '
            'leaderElection.retryPeriod: Invalid value: "-1µs": must be greater than zero]',
        ),
        (
            args_of("DynamicResources", {"filterTimeout": "-90s"}),
            'profiles[0].pluginConfig[0].args.filterTimeout: Invalid value: "-1m30s": must be zero or positive',
        ),
        ({"extenders": [{"tlsConfig": {"certData": "%%"}}]}, "illegal base64 data at input byte 0"),
        (
            {"extenders": [{"managedResources": ["x"]}]},
            into("string", "Extender.extenders.managedResources", "v1.ExtenderManagedResource"),
        ),
        (
            {"extenders": [{"urlPrefix": None, "weight": None, "prioritizeVerb": "x"}]},
            "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
        ),
        (
            {"clientConnection": {"qps": "x"}},
            into("string", "ClientConnectionConfiguration.clientConnection.qps", "float32"),
        ),
        ({"kind": ["x"]}, f"{NO_JSON} array into Go struct field .kind of type string"),
        ({"apiVersion": 5}, f"{NO_JSON} number into Go struct field .apiVersion of type string"),
        *(
            (
                args_of("NodeAffinity", args),
                f"{DECODING}decoding args for plugin NodeAffinity: {NO_JSON} {kind} into Go value of type {HEAD}",
            )
            for args, kind in (("x", "string"), ([1], "array"), (0, "number"))
        ),
        (
            args_of("NodeAffinity", {"kind": 5}),
            f"{DECODING}decoding args for plugin NodeAffinity: {NO_JSON} number into Go struct field .kind of type string",
        ),
        (
            args_of("NodeAffinity", {"addedAffinity": "x"}),
            f"{DECODING}decoding args for plugin NodeAffinity: "
            + into("string", "NodeAffinityArgs.addedAffinity", "v1.NodeAffinity"),
        ),
        (
            args_of("NodeAffinity", {"addedAffinity": {"x": 1}}),
            f"strict decoding error: {DECODING}strict decoding error: decoding args for plugin NodeAffinity: "
            'strict decoding error: unknown field "addedAffinity.x"',
        ),
        (
            args_of("NodeResourcesFit", {"ignoredResources": [1]}),
            f"{DECODING}decoding args for plugin NodeResourcesFit: "
            + into("number", "NodeResourcesFitArgs.ignoredResources", "string"),
        ),
        (
            args_of("DynamicResources", {"filterTimeout": 5}),
            f"{DECODING}decoding args for plugin DynamicResources: "
            + into("number", "DynamicResourcesArgs.filterTimeout", "string"),
        ),
        (
            args_of("DynamicResources", {"filterTimeout": TOO_LONG}),
            f'{DECODING}decoding args for plugin DynamicResources: time: invalid duration "{TOO_LONG}"',
        ),
        (
            args_of("PodTopologySpread", {"defaultingType": "List", "defaultConstraints": [{"maxSkew": "x"}]}),
            f"{DECODING}decoding args for plugin PodTopologySpread: "
            + into("string", "TopologySpreadConstraint.defaultConstraints.maxSkew", "int32"),
        ),
    ],
)
def test_a_value_of_another_type_is_named_with_its_field(fields, message):
    with pytest.raises(ConfigurationError) as caught:
        load(given(**fields))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "fields",
    [
        {"profiles": None},
        {"profiles": []},
        {"profiles": [None]},
        {"profiles": [{"pluginConfig": [{}]}]},
        {"profiles": [{"pluginConfig": [None]}]},
        with_plugins(score={"enabled": [{"name": "NodeAffinity", "weight": None}]}),
        {"parallelism": None, "leaderElection": None, "percentageOfNodesToScore": 10.0},
        {"extenders": [None]},
        args_of("NodeAffinity", None),
        args_of("NodeAffinity", {"kind": None, "apiVersion": ""}),
        args_of("NodeAffinity", {"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
        args_of("NodeAffinity", {"addedAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [None]}}),
        args_of("NodeResourcesFit", {"scoringStrategy": {"resources": [{}]}}),
        args_of("NodeResourcesFit", {"scoringStrategy": None}),
        args_of("NodeResourcesBalancedAllocation", {"resources": [{}]}),
        args_of("DynamicResources", {"filterTimeout": None}),
        args_of("NodeName", "x"),
    ],
)
def test_null_and_nothing_are_what_is_not_given(fields):
    [profile] = made(**fields).values()
    assert (
        Setting(node("a"), node("b"), profile=profile)
        .choose(pod())
        .message.startswith(
            "0/2 nodes are available: 2 node(s) didn't match scheduler-enforced node affinity."
            if "requiredDuring" in str(fields)
            else ""
        )
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", f"{NO_JSON} string into Go value of type {HEAD}"),
        ("", "Object 'Kind' is missing in the configuration"),
        (f"apiVersion: {VERSION}", "Object 'Kind' is missing in the configuration"),
        ("kind: KubeSchedulerConfiguration", "Object 'apiVersion' is missing in the configuration"),
        ("percentageOfNodesToScore: .inf", "json: unsupported value: +Inf"),
        ("a: 1\na: b: c", "yaml: line 2: mapping values are not allowed in this context"),
        (
            f"apiVersion: {VERSION}\nkind: KubeSchedulerConfiguration\nparallelism: 1\nparallelism: 2",
            'strict decoding error: yaml: unmarshal errors:\n  line 4: key "parallelism" already set in map',
        ),
    ],
)
def test_a_file_that_is_no_configuration_is_told(text, message):
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert str(caught.value) == message


FULL = {
    "clientConnection": {"kubeconfig": "/x", "qps": 50, "burst": 100},
    "leaderElection": {"leaderElect": True, "leaseDuration": "15s", "resourceName": "a"},
    "parallelism": 16,
    "profiles": [
        {
            "schedulerName": "a",
            "percentageOfNodesToScore": 20,
            "plugins": {"score": {"enabled": [{"name": "NodeResourcesFit", "weight": 3}], "disabled": [{"name": "*"}]}},
            "pluginConfig": [
                {
                    "name": "NodeResourcesFit",
                    "args": {
                        "ignoredResourceGroups": ["x.y"],
                        "scoringStrategy": {
                            "type": "RequestedToCapacityRatio",
                            "resources": [{"name": "cpu", "weight": 2}],
                            "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}]},
                        },
                    },
                },
                {"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": []}},
                {"name": "DefaultPreemption", "args": {"minCandidateNodesPercentage": 10}},
                {"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 5}},
            ],
        }
    ],
    "extenders": [{"urlPrefix": "http://x", "filterVerb": "f", "managedResources": [{"name": "a.b/c"}]}],
}


def places(value, path=()):
    """Where something may be put in the place of a value."""
    if path:
        yield path
    for key, one in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places(one, (*path, key))


@pytest.mark.parametrize("junk", [None, "", "x", -1, 2**70, 1.5, True, [], {}, [None], [{}], {"a": 1}])
def test_junk_anywhere_is_a_configuration_error_at_most(junk):
    for path in places(FULL):
        spoiled = copy.deepcopy(FULL)
        holder = spoiled
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = junk
        try:
            found = load(given(**spoiled))
            profiles(found, Tools())
            for one in found.get("extenders") or ():
                Extender(one)
        except ConfigurationError as error:
            assert str(error)


def test_arguments_for_a_plugin_of_others_must_be_an_object():
    class Mine(Plugin):
        def filter(self, pod, node):
            return ""

    enabled = {"plugins": {"multiPoint": {"enabled": [{"name": "Mine"}]}}}
    found = load(given(profiles=[{**enabled, "pluginConfig": [{"name": "Mine", "args": "x"}]}]))
    with pytest.raises(ConfigurationError, match='initializing plugin "Mine": its args are no object'):
        profiles(found, Tools(), Others({"Mine": adapted("Mine", Mine)}))


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


def test_a_lease_has_a_name_and_a_place():
    text = json.dumps({"apiVersion": VERSION, "kind": "KubeSchedulerConfiguration"})
    with pytest.raises(ConfigurationError) as caught:
        load(text, {"resourceName": "", "resourceNamespace": ""})
    required = "Required value"
    assert (
        str(caught.value) == f"[leaderElection.resourceNamespace: {required}, leaderElection.resourceName: {required}]"
    )


@pytest.mark.parametrize(
    ("given", "flags", "chosen"),
    [
        ({}, {}, (True, "15s", "10s", "2s", "kube-scheduler", "kube-system")),
        (
            {"leaderElect": False, "leaseDuration": "5s"},
            {},
            (False, "5s", "10s", "2s", "kube-scheduler", "kube-system"),
        ),
        (
            {"leaseDuration": "5s", "retryPeriod": "0h", "resourceName": ""},
            {"leaseDuration": "20s", "resourceNamespace": "a"},
            (True, "20s", "10s", "2s", "kube-scheduler", "a"),
        ),
        (
            {"leaderElect": True, "leaseDuration": "5s"},
            {"leaderElect": False},
            (False, "5s", "10s", "2s", "kube-scheduler", "kube-system"),
        ),
    ],
)
def test_flags_of_the_election_go_before_the_file_which_goes_before_the_defaults(given, flags, chosen):
    text = json.dumps({"apiVersion": VERSION, "kind": "KubeSchedulerConfiguration", "leaderElection": given})
    found = load(text, flags)["leaderElection"]
    names = ("leaderElect", "leaseDuration", "renewDeadline", "retryPeriod", "resourceName", "resourceNamespace")
    assert tuple(found[name] for name in names) == chosen
