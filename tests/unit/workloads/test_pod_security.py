"""The Pod Security Standards by level and version, in upstream's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.workloads.pod_security import Policy, minor_of, summary, violations

BASELINE, RESTRICTED = Policy("baseline"), Policy("restricted")
SAFE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod(*contexts: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod that keeps the restricted level but for what is given; containers are named a, b, …"""
    containers = [
        {"name": chr(97 + n), "image": "i", "securityContext": {**SAFE, **context}}
        for n, context in enumerate(contexts or ({},))
    ]
    context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **spec.pop("securityContext", {})}
    return {"securityContext": context, "containers": containers, **spec}


def test_a_careful_pod_is_allowed_everywhere():
    assert violations(RESTRICTED, pod()) == []


def test_a_plain_pod_keeps_the_baseline_only():
    plain = {"containers": [{"name": "app", "image": "i"}], "hostNetwork": True}
    assert violations(Policy("privileged"), plain) == []
    assert [str(v) for v in violations(BASELINE, plain)] == ["host namespaces (hostNetwork=true)"]
    assert summary(RESTRICTED, violations(RESTRICTED, plain)) == (
        'PodSecurity "restricted:latest": host namespaces (hostNetwork=true), '
        'allowPrivilegeEscalation != false (container "app" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "app" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "app" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "app" must set securityContext.seccompProfile.type to '
        '"RuntimeDefault" or "Localhost")'
    )


@pytest.mark.parametrize(
    ("policy", "spec", "said"),
    [
        (
            BASELINE,
            pod({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}),
            'non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)',
        ),
        (
            RESTRICTED,
            pod({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}, {"capabilities": {}}),
            'unrestricted capabilities (container "b" must set securityContext.capabilities.drop=["ALL"]; '
            'container "a" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
        (
            BASELINE,
            pod({"privileged": True}),
            'privileged (container "a" must not set securityContext.privileged=true)',
        ),
        (BASELINE, pod(hostPID=True, hostIPC=True), "host namespaces (hostPID=true, hostIPC=true)"),
        (
            BASELINE,
            pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "hostPath": {"path": "/"}}]),
            'hostPath volumes (volumes "v", "w")',
        ),
        (
            RESTRICTED,
            pod(volumes=[{"name": "v", "nfs": {}}, {"name": "s", "secret": {}}]),
            'restricted volume types (volume "v" uses restricted volume type "nfs")',
        ),
        (
            BASELINE,
            pod(securityContext={"seLinuxOptions": {"type": "spc_t", "user": "u"}}),
            'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
        ),
        (
            RESTRICTED,
            pod({"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            RESTRICTED,
            pod({"runAsUser": 0}, securityContext={"runAsUser": 0}),
            'runAsUser=0 (pod and container "a" must not set runAsUser=0)',
        ),
        (BASELINE, pod(securityContext={"sysctls": [{"name": "kernel.msgmax"}]}), "forbidden sysctls (kernel.msgmax)"),
    ],
)
def test_what_is_forbidden_is_said(policy, spec, said):
    assert [str(v) for v in violations(policy, spec)] == [said]


def test_older_versions_ask_for_less():
    without_drop = pod({"capabilities": {}, "runAsUser": 0})
    assert violations(Policy("restricted", 18), without_drop) == []
    assert [v.reason for v in violations(Policy("restricted", 23), without_drop)] == [
        "unrestricted capabilities",
        "runAsUser=0",
    ]


def test_a_user_namespace_may_see_all_of_proc_at_the_baseline():
    spec = pod({"procMount": "Unmasked"}, hostUsers=False)
    assert violations(BASELINE, spec) == []
    assert [v.reason for v in violations(RESTRICTED, spec)] == ["procMount"]


@pytest.mark.parametrize(("text", "minor"), [("latest", None), ("v1.0", 0), ("v1.99", 99)])
def test_versions_are_read(text, minor):
    assert minor_of(text) == minor


@pytest.mark.parametrize("text", ["", "v1", "1.2", "v1.02", "v2.0", "y"])
def test_other_versions_are_refused(text):
    with pytest.raises(ValueError, match=r'must be "latest" or "v1\.x"'):
        minor_of(text)


contexts = st.fixed_dictionaries(
    {},
    optional={
        "privileged": st.booleans(),
        "runAsUser": st.integers(0, 2),
        "runAsNonRoot": st.booleans(),
        "allowPrivilegeEscalation": st.booleans(),
        "procMount": st.sampled_from(["Default", "Unmasked"]),
        "seccompProfile": st.sampled_from([{"type": "Unconfined"}, {"type": "Localhost"}]),
    },
)


@given(st.lists(contexts, min_size=1, max_size=3), st.booleans(), st.integers(0, 40))
def test_the_restricted_level_allows_nothing_that_the_baseline_forbids(given_contexts, host, minor):
    spec = {
        "containers": [{"name": f"c{n}", "securityContext": context} for n, context in enumerate(given_contexts)],
        "hostNetwork": host,
    }
    if violations(Policy("baseline", minor), spec):
        assert violations(Policy("restricted", minor), spec)


def test_profiles_in_annotations_count_as_those_in_fields():
    notes = {"container.apparmor.security.beta.kubernetes.io/a": "unconfined", "other": "x"}
    (found,) = violations(BASELINE, pod(), notes)
    assert str(found) == (
        'forbidden AppArmor profile (annotation must not set AppArmor profile type to "'
        'container.apparmor.security.beta.kubernetes.io/a="unconfined"")'
    )
    assert (
        violations(BASELINE, pod(), {**notes, "container.apparmor.security.beta.kubernetes.io/a": "localhost/x"}) == []
    )


def test_several_containers_with_one_forbidden_profile_set_one_profile():
    bad = {"appArmorProfile": {"type": "Unconfined"}}
    spec = {"containers": [{"name": "a", "securityContext": bad}, {"name": "b", "securityContext": bad}]}
    (found,) = violations(BASELINE, spec)
    assert str(found) == (
        'forbidden AppArmor profile (containers "a", "b" must not set AppArmor profile type to "Unconfined")'
    )


def test_types_of_selinux_are_told_in_order():
    containers = [{"name": n, "securityContext": {"seLinuxOptions": {"type": n}}} for n in ("z", "y")]
    (found,) = violations(BASELINE, {"containers": containers})
    assert found.detail == 'containers "z", "y" set forbidden securityContext.seLinuxOptions: types "y", "z"'


def test_old_versions_look_for_seccomp_in_annotations():
    spec = {"containers": [{"name": "a", "securityContext": {"seccompProfile": {"type": "Unconfined"}}}]}
    notes = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    (found,) = violations(Policy("baseline", 18), spec, notes)
    assert str(found) == 'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")'
    assert violations(Policy("baseline", 18), spec) == []


def test_root_of_users_of_its_own_is_allowed_since_1_35():
    spec = pod({"runAsUser": 0, "runAsNonRoot": False}, hostUsers=False)
    assert violations(RESTRICTED, spec) == []
    assert [v.reason for v in violations(Policy("restricted", 34), spec)] == ["runAsNonRoot != true", "runAsUser=0"]


def test_restricted_volume_types_are_sorted():
    volumes = [{"name": "a", "nfs": {}}, {"name": "b", "hostPath": {}}]
    (found,) = violations(RESTRICTED, pod(volumes=volumes))
    assert str(found).endswith('(volumes "a", "b" use restricted volume types "hostPath", "nfs")')
