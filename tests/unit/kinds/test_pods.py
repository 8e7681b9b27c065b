"""What is refused of pods, and what their writers are warned of; upstream's answers, taken from a real server."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.kinds.core.pod import OWN
from heeler.kinds.core.pod_resources import default_pod_resources
from heeler.kinds.core.pod_rules import rules, update_rules
from heeler.kinds.core.pod_warnings import address, of_pod, of_workload
from heeler.kinds.core.profile_annotations import set_app_armor, set_warnings
from heeler.objects import names

APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/c"
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
OLD_SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead'
OLD_APP_ARMOR = 'deprecated since v1.30; use the "appArmorProfile" field instead'


def pod(notes: dict[str, str] | None = None, container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i", "imagePullPolicy": "Always", **(container or {})}]
    containers[0].setdefault("terminationMessagePolicy", "File")
    made = {"containers": containers, "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", **spec}
    return {"metadata": {"name": "x", "annotations": notes or {}}, "spec": made}


def faults(made: dict[str, Any]) -> list[str]:
    return [f"{fault.field}: {fault.message}" for fault in rules(made)]


def warned(made: dict[str, Any]) -> list[str]:
    return list(of_pod(made, None))


def test_nothing_is_said_of_a_plain_pod():
    assert faults(pod()) == []
    assert warned(pod()) == []


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("Unconfined", "unconfined", ""),
        ("RuntimeDefault", "docker/default", ""),
        ("RuntimeDefault", "unconfined", "type"),
        ("Localhost", "localhost/x", ""),
        ("Localhost", "localhost/y", "localhostProfile"),
        ("Localhost", "unconfined", "type"),
    ],
)
def test_a_seccomp_annotation_says_what_the_field_does(kind, text, expected):
    profile = {"type": kind, **({"localhostProfile": "x"} if kind == "Localhost" else {})}
    found = faults(pod({SECCOMP: text}, securityContext={"seccompProfile": profile}))
    noun = "type" if expected == "type" else "profile"
    path = f"spec.securityContext.seccompProfile.{expected}"
    words = f"{path}: Forbidden: seccomp {noun} in annotation and field must match"
    assert found == ([words] if expected else [])


def test_app_armor_annotations_name_containers_and_profiles():
    found = faults(pod({APP_ARMOR: "odd", f"{APP_ARMOR}2": "unconfined"}))
    assert found == [
        f'metadata.annotations[{APP_ARMOR}]: Invalid value: "odd": invalid AppArmor profile name: "odd"',
        f'metadata.annotations[{APP_ARMOR}2]: Invalid value: "c2": container not found',
    ]
    field = {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}
    path = "spec.containers[0].securityContext.appArmorProfile.type"
    words = f"{path}: Forbidden: apparmor type in annotation and field must match"
    assert faults(pod({APP_ARMOR: "unconfined"}, field)) == [words]
    change = [f"{fault.field}: {fault.message}" for fault in update_rules(pod(), pod({APP_ARMOR: "unconfined"}))]
    assert change == [f"metadata.annotations[{APP_ARMOR}]: Forbidden: may not remove or update AppArmor annotations"]


def test_an_app_armor_annotation_becomes_the_field():
    made = pod({APP_ARMOR: "localhost/x"})
    assert list(set_warnings(made)) == [f"metadata.annotations[{APP_ARMOR}]: {OLD_APP_ARMOR}"]
    set_app_armor(made)
    profile = {"type": "Localhost", "localhostProfile": "x"}
    assert made["spec"]["containers"][0]["securityContext"] == {"appArmorProfile": profile}
    assert list(set_warnings(made)) == []


def test_a_deletion_cost_is_a_number():
    key = "controller.kubernetes.io/pod-deletion-cost"
    assert faults(pod({key: "-5"})) == []
    for text in ("+5", "05", "x", "2147483648"):
        assert faults(pod({key: text})) == [
            f'metadata.annotations[{key}]: Invalid value: "{text}": must be a 32bit integer'
        ]


def test_what_the_host_shares():
    sysctls = {"sysctls": [{"name": "net/core/somaxconn", "value": "1"}, {"name": "kernel.shmmax", "value": "1"}]}
    found = faults(pod(securityContext=sysctls, hostNetwork=True, hostIPC=True))
    assert found == [
        'spec.securityContext.sysctls[0].name: Invalid value: "net/core/somaxconn": may not be specified when '
        "'hostNetwork' is true",
        "spec.securityContext.sysctls[1].name: Invalid value: \"kernel.shmmax\": may not be specified when 'hostIPC' "
        "is true",
    ]
    found = faults(pod(hostUsers=False, hostNetwork=True, hostPID=True, hostIPC=True))
    assert found == [
        f"spec.{key}: Forbidden: when `hostUsers` is false" for key in ("hostNetwork", "HostPID", "HostIPC")
    ]
    found = faults(pod(hostUsers=False, os={"name": "windows"}, securityContext={"runAsUser": 1}))
    keys = ("securityContext.runAsUser", "hostUsers")
    assert found == [f"spec.{key}: Forbidden: cannot be set for a windows pod" for key in keys]


def test_warnings_of_old_things():
    term = {"matchExpressions": [{"key": "beta.kubernetes.io/os", "operator": "In", "values": ["-"]}]}
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"preference": term}]}}
    made = pod(
        {SECCOMP: "unconfined", "scheduler.alpha.kubernetes.io/critical-pod": ""},
        affinity=affinity,
        nodeSelector={"node-role.kubernetes.io/master": ""},
        volumes=[{"name": "v", "gitRepo": {"repository": "r"}}, {"name": "w", "storageos": {}}],
    )
    here = (
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]"
    )
    master = "spec.nodeSelector[node-role.kubernetes.io/master]"
    found = warned(made)
    assert found[0] == f'{master}: use "node-role.kubernetes.io/control-plane" instead'
    assert found[1] == f'{here}.key: beta.kubernetes.io/os is deprecated since v1.14; use "kubernetes.io/os" instead'
    assert found[2].startswith(f"{here}.values[0]: - is invalid, a valid label must be")
    assert found[3:] == [
        "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "
        '"priorityClassName" field instead',
        "spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
        "spec.volumes[1].storageOS: deprecated in v1.22, non-functional in v1.25+",
        f"metadata.annotations[{SECCOMP}]: {OLD_SECCOMP}",
    ]


def test_warnings_of_ports_variables_and_paths():
    ports = [
        {"name": "a", "containerPort": 80, "protocol": "TCP", "hostPort": 1},
        {"name": "b", "containerPort": 80, "protocol": "TCP"},
        {"name": "c", "containerPort": 80, "protocol": "TCP", "hostPort": 1, "hostIP": "1.1.1.1"},
    ]
    env = [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"}]
    items = [{"key": "k", "path": "a/b"}, {"key": "l", "path": "a/"}]
    sources = [{"secret": {"name": "s", "items": items[:1]}}, {}, {"serviceAccountToken": {"path": "a"}}]
    volumes = [
        {"name": "v", "configMap": {"name": "m", "items": items}},
        {"name": "w", "projected": {"sources": sources}},
    ]
    here = "spec.containers[0]"
    assert warned(pod(None, {"ports": ports, "env": env}, volumes=volumes)) == [
        'volume "v" (ConfigMap "m"): overlapping paths: "a" with "a/b"',
        'volume "w" (Projected) has no sources provided',
        'volume "w" (Projected): overlapping paths: "a" (ServiceAccountToken) with "a/b" (Secret "s")',
        f'{here}.env[2]: hides previous definition of "A", which may be dropped when using apply',
        f"{here}.ports[1]: overlapping port definition with {here}.ports[0]",
        f"{here}.ports[2]: dangerously ambiguous port definition with {here}.ports[0]",
        f"{here}.ports[2]: overlapping port definition with {here}.ports[1]",
    ]


def test_warnings_of_addresses():
    assert list(address("1.2.3.4", "at")) == []
    assert list(address("fd00::1", "at")) == []
    words = 'at: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")'
    assert list(address("FD00::1", "at")) == [words]
    assert list(address("::ffff:1.2.3.4", "at")) == [
        'at: non-standard IP address "::ffff:1.2.3.4" is invalid: use "1.2.3.4"'
    ]


def test_templates_are_warned_of_when_the_spec_changes():
    template = pod({APP_ARMOR: "unconfined"})
    new = {"metadata": {"name": "x.y", "generation": 2}, "spec": {"template": template}}
    name = (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label "
        "is recommended: [must not contain dots]"
    )
    note = f"spec.template.metadata.annotations[{APP_ARMOR}]: {OLD_APP_ARMOR}"
    assert list(of_workload(new, None, "spec", "template")) == [name, note]
    assert list(of_workload(new, new, "spec", "template")) == []
    old = {**new, "metadata": {"name": "x.y", "generation": 1}}
    assert list(of_workload(new, old, "spec", "template")) == [note]
    template["spec"]["securityContext"] = {"appArmorProfile": {"type": "Unconfined"}}
    assert list(of_workload(new, old, "spec", "template")) == []


def test_a_label_with_dots_is_told_so():
    assert names.label("a.b") == ["must not contain dots"]
    assert names.label("A.b")[0].startswith("a lowercase RFC 1123 label must consist")


def test_containers_that_restart_by_rules_of_their_own():
    rule = {"action": "Foo", "exitCodes": {"operator": "X", "values": [1]}}
    here = "spec.containers[0]"
    assert faults(pod(None, {"restartPolicyRules": [rule]})) == [
        f"{here}.restartPolicy: Required value: must specify restartPolicy when restart rules are used",
        f'{here}.restartPolicyRules[0].action: Unsupported value: "Foo": supported values: "Restart", '
        '"RestartAllContainers"',
        f'{here}.restartPolicyRules[0].exitCodes.operator: Unsupported value: "X": supported values: "In", "NotIn"',
    ]
    resize = [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]
    assert faults(pod(None, {"resizePolicy": resize}, restartPolicy="Never")) == [
        f"{here}.resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when pod `restartPolicy` is "
        "'Never'"
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("u", ""),
        ("NT\\u", ""),
        ("", " cannot be an empty string"),
        ("a\\b\\c", " cannot contain more than one backslash"),
        ("a:b\\c", "'s Domain doesn't match the NetBios nor the DNS format"),
        ("...", "'s User cannot contain only periods or spaces"),
        ("a/b", "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"),
        ("x" * 105, "'s User length must not be longer than 104 characters"),
    ],
)
def test_names_of_windows_users(name, words):
    found = faults(pod(securityContext={"windowsOptions": {"runAsUserName": name}}))
    assert [text.partition("runAsUserName")[2].partition("runAsUserName")[2] for text in found] == [words] * bool(words)


def test_what_a_pod_asks_for_as_a_whole():
    whole = {"requests": {"cpu": "1", "foo": "1"}, "limits": {"cpu": "1"}}
    asked = {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}}
    assert faults(pod(None, asked, resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})) == [
        'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests '
        "of 2",
        'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
    ]
    words = 'Invalid value: "foo": must be a standard resource type or fully qualified'
    assert faults(pod(resources=whole)) == [f"spec.resources.requests[foo]: {words}"]
    words = 'Unsupported value: "ephemeral-storage": supported values: "cpu", "hugepages-", "memory"'
    assert faults(pod(resources={"limits": {"ephemeral-storage": "1"}})) == [
        f"spec.resources.limits[ephemeral-storage]: {words}"
    ]
    pages = {"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}, "requests": {"hugepages-2Mi": "3Mi"}}
    found = faults(pod(None, {"resources": pages}))
    assert [text.partition(": ")[2] for text in found] == [
        'Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi'
    ] * 2


def test_projected_files_and_addresses():
    token = {"serviceAccountToken": {"path": "", "expirationSeconds": 600}}
    items = [{"key": "k", "path": "a"}]
    sources = [token, {"secret": {"name": "s", "items": items}}, {"configMap": {"name": "m", "items": items}}]
    aliases = [{"ip": "01.2.3.4", "hostnames": ["A"]}, {"ip": "::ffff:1.2.3.4"}]
    found = faults(pod(volumes=[{"name": "v", "projected": {"sources": sources}}], hostAliases=aliases))
    assert found[:3] == [
        "spec.volumes[0].projected.path: Required value",
        'spec.volumes[0].projected: Invalid value: "m": conflicting duplicate paths',
        'spec.hostAliases[0].ip: Invalid value: "01.2.3.4": must not have leading 0s',
    ]
    assert found[3].startswith('spec.hostAliases[0].hostnames[0]: Invalid value: "A": a lowercase RFC 1123 subdomain')
    assert found[4].endswith("must not be an IPv4-mapped IPv6 address")


def test_a_pods_grace_is_not_negative():
    made = pod(None, {"resources": {}}, terminationGracePeriodSeconds=-1)
    OWN.default(made, "v1")
    assert made["spec"]["terminationGracePeriodSeconds"] == 1


def test_what_a_pod_asks_for_as_a_whole_is_completed():
    asked = {"resources": {"requests": {"cpu": "1", "memory": "1Mi"}, "limits": {"cpu": "2", "hugepages-2Mi": "4Mi"}}}
    spec = pod(None, asked, resources={"limits": {"memory": "8Mi"}})["spec"]
    default_pod_resources(spec)
    assert spec["resources"] == {
        "requests": {"cpu": "1", "memory": "1Mi", "hugepages-2Mi": "4Mi"},
        "limits": {"memory": "8Mi", "hugepages-2Mi": "4Mi", "cpu": "2"},
    }
    spec = pod(None, asked, resources={})["spec"]
    default_pod_resources(spec)
    assert spec["resources"] == {}


def test_a_repeated_spread_constraint_is_told_once():
    row = {"maxSkew": 1, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}
    path = "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}"
    words = f'{path}: Duplicate value: "{{a, DoNotSchedule}}"'
    assert faults(pod(topologySpreadConstraints=[row, row])) == [words]
