"""Controllers of one rule each: times of endpoints, ServiceCIDRs, ttls of nodes, bootstrap tokens, old tokens of accounts."""

import base64
import ipaddress

import pytest

from heeler.base.clock import parse_rfc3339
from heeler.controllers import bootstrap_tokens, legacy_token_cleaner, servicecidr, ttl
from heeler.controllers.clustertrustbundle_publisher import bundle_name
from heeler.controllers.endpointslice_trigger import ANNOTATION, TriggerTimes, annotated

NOW = parse_rfc3339("2026-06-01T00:00:00Z")
YEAR = 365 * 86400.0


def endpoint_pod(name, at):
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": at}
    return {"metadata": {"name": name}, "status": {"conditions": [condition] if at else []}}


def test_endpoints_tell_of_the_earliest_change_since_the_last_look():
    times, service = TriggerTimes(), {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}
    pods = [endpoint_pod("a", "2026-01-01T00:00:05Z"), endpoint_pod("b", "")]
    assert times.of("n/s", service, pods) == "2026-01-01T00:00:00Z"
    assert times.of("n/s", service, pods) == ""
    pods = [endpoint_pod("a", "2026-01-01T00:00:09Z"), endpoint_pod("b", "2026-01-01T00:00:07Z")]
    assert times.of("n/s", service, pods) == "2026-01-01T00:00:07Z"
    assert times.of("n/s", service, pods[:1]) == ""
    anew = {"metadata": {"creationTimestamp": "2026-01-01T00:00:08Z"}}
    assert times.of("n/s", anew, []) == "2026-01-01T00:00:08Z"
    times.forget("n/s")
    assert times.of("n/s", service, []) == "2026-01-01T00:00:00Z"


def test_the_time_of_an_earlier_change_goes():
    before = {"mine": "1", ANNOTATION: "2026-01-01T00:00:00Z"}
    assert annotated(before, "") == {"mine": "1"}
    assert annotated(before, "2026-01-01T00:00:05Z") == {"mine": "1", ANNOTATION: "2026-01-01T00:00:05Z"}


def cidr(name, *texts):
    return {"metadata": {"name": name}, "spec": {"cidrs": list(texts)}}


def addresses(*texts):
    return [ipaddress.ip_address(text) for text in texts]


@pytest.mark.parametrize(
    ("others", "used", "free"),
    [
        ((), (), True),
        ((), ("10.9.0.1",), True),
        ((), ("10.1.0.1",), False),
        ((("wide", "10.0.0.0/8"),), ("10.1.0.1",), True),
        ((("same", "10.1.0.0/24"),), ("10.1.0.1",), True),
        ((("half", "10.1.0.0/25"),), ("10.1.0.1",), True),
        ((("half", "10.1.0.0/25"),), ("10.1.0.1", "10.1.0.200"), False),
        ((("six", "fd00::/64"),), ("10.1.0.1",), False),
    ],
)
def test_a_range_goes_when_each_address_in_it_has_another(others, used, free):
    mine = cidr("mine", "10.1.0.0/24")
    everything = [mine, *(cidr(*one) for one in others)]
    assert servicecidr.may_go(mine, everything, addresses(*used)) is free


def test_only_addresses_that_an_api_server_took_hold_a_range():
    labels = {servicecidr.MANAGED_BY: servicecidr.API_SERVER}
    assert servicecidr.address_of({"metadata": {"name": "10.1.0.1", "labels": labels}}) is not None
    assert servicecidr.address_of({"metadata": {"name": "10.1.0.1"}}) is None
    assert servicecidr.address_of({"metadata": {"name": "nonsense", "labels": labels}}) is None


def test_a_condition_is_told_once():
    told = servicecidr.with_ready(cidr("a"), servicecidr.READY, NOW)
    assert told is not None
    assert told["lastTransitionTime"] == "2026-06-01T00:00:00Z"
    assert servicecidr.with_ready({"status": {"conditions": [told]}}, servicecidr.READY, NOW) is None
    assert servicecidr.with_ready({"status": {"conditions": [told]}}, servicecidr.IN_USE, NOW) is not None


def test_the_ttl_of_nodes_grows_and_shrinks_with_some_slack():
    def seconds(before, nodes):
        return ttl.SIZES[ttl.fitting(before, nodes)].seconds

    assert [seconds(0, nodes) for nodes in (0, 100, 101, 500, 501, 1001, 2001, 50_000)] == [
        *(0, 0, 15, 15, 30, 60, 300, 300)
    ]
    assert seconds(1, 95) == 15  # it takes fewer than 90 to go back
    assert seconds(1, 89) == 0
    assert seconds(4, 1) == 0


def secret(**values):
    data = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}
    name = f"bootstrap-token-{values.get('token_id', '')}"
    return {"metadata": {"name": name, "namespace": "kube-system"}, "type": bootstrap_tokens.SECRET_TYPE, "data": data}


GOOD = {"token_id": "abcdef", "token_secret": "0123456789abcdef", "usage_bootstrap_signing": "true"}


@pytest.mark.parametrize(
    ("changed", "signs"),
    [
        ({}, True),
        ({"expiration": "2026-06-01T00:00:01Z"}, True),
        ({"expiration": "2026-06-01T02:00:00+02:00"}, False),  # this very moment
        ({"expiration": "tomorrow"}, False),
        ({"usage_bootstrap_signing": "yes"}, False),
        ({"token_secret": "short"}, False),
        ({"token_id": "ABCDEF"}, False),
    ],
)
def test_which_tokens_sign(changed, signs):
    found = bootstrap_tokens.signing_token(secret(**{**GOOD, **changed}), NOW)
    assert found == (("abcdef", "0123456789abcdef") if signs else None)


def test_signatures_are_detached_and_those_of_lost_tokens_go():
    data = {"kubeconfig": "content", "jws-kubeconfig-gone00": "old", "other": "kept"}
    out = bootstrap_tokens.signed(data, {"abcdef": "0123456789abcdef"})
    assert sorted(out) == ["jws-kubeconfig-abcdef", "kubeconfig", "other"]
    head, middle, tail = out["jws-kubeconfig-abcdef"].split(".")
    assert base64.urlsafe_b64decode(head + "==") == b'{"alg":"HS256","kid":"abcdef"}'
    assert middle == ""
    assert len(base64.urlsafe_b64decode(tail + "=")) == 32
    assert bootstrap_tokens.signed({"other": "kept"}, {"abcdef": "s"}) == {"other": "kept"}


def token(created="2024-01-01T00:00:00Z", **labels):
    names = {"used": legacy_token_cleaner.LAST_USED, "invalid": legacy_token_cleaner.INVALID_SINCE}
    metadata = {"name": "t", "creationTimestamp": created, "labels": {names[key]: day for key, day in labels.items()}}
    return {"metadata": metadata}


@pytest.mark.parametrize(
    ("found", "mounted", "listed", "step"),
    [
        (token(), (), True, ("2026-06-01", False)),
        (token(created="2025-12-01T00:00:00Z"), (), True, ("", False)),
        (token(used="2026-01-01"), (), True, ("", False)),
        (token(used="2024-06-01"), (), True, ("2026-06-01", False)),
        (token(used="nonsense"), (), True, ("", False)),
        (token(), ("t",), True, ("", False)),
        (token(), (), False, ("", False)),
        (token(invalid="2026-01-01"), (), True, ("", False)),
        (token(invalid="2025-01-01"), (), True, ("", True)),
        (token(invalid="nonsense"), (), True, ("2026-06-01", False)),
    ],
)
def test_old_tokens_are_marked_and_later_removed(found, mounted, listed, step):
    account = {"secrets": [{"name": "t"}]} if listed else {}
    assert legacy_token_cleaner.plan(found, account, mounted, NOW, YEAR) == step


def test_the_secrets_that_a_pod_uses():
    spec = {
        "imagePullSecrets": [{"name": "pull"}],
        "containers": [
            {
                "envFrom": [{"secretRef": {"name": "env"}}],
                "env": [{"valueFrom": {"secretKeyRef": {"name": "key"}}}, {"name": "plain", "value": "1"}],
            }
        ],
        "volumes": [
            {"name": "a", "secret": {"secretName": "volume"}},
            {"name": "b", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "no"}}]}},
            {"name": "c", "csi": {"nodePublishSecretRef": {"name": "csi"}}},
        ],
    }
    assert legacy_token_cleaner.secrets_of({"spec": spec}) == ["pull", "env", "key", "volume", "projected", "csi"]


def test_a_trust_bundle_is_named_after_its_content():
    assert bundle_name("a") == "kubernetes.io:kube-apiserver-serving:ca978112ca1bbdcafac231b3"
