"""Ingresses as a snapshot: which request goes where, certificates by name, and what is said of what is missing."""

from __future__ import annotations

import re
from typing import Any

import pytest

from heeler.envoy import snapshot as envoy
from heeler.envoy.snapshot import Gateway, Snapshot
from heeler.network.gateway import check_pair
from heeler.network.ingress import Problem, Sources, chosen, plan, secrets_of
from heeler.objects.value import Object
from tests.unit.network.test_services import endpoint, piece, service

FALLBACK = ("fallback", "key")


def path(text: str, kind: str = "Prefix", name: str = "web", **port: Any) -> Object:
    return {"path": text, "pathType": kind, "backend": {"service": {"name": name, "port": port or {"number": 80}}}}


def ingress(name: str, *rules: tuple[str, list[Object]], age: int = 0, **spec: Any) -> Object:
    made = [{**({"host": host} if host else {}), "http": {"paths": paths}} for host, paths in rules]
    metadata = {"name": name, "namespace": "default", "creationTimestamp": f"2026-01-01T00:00:{age:02}Z"}
    return {"metadata": metadata, "spec": {"ingressClassName": "heeler", "rules": made, **spec}}


def made(*ingresses: Object, secrets: Any = None) -> tuple[Snapshot, list[Problem]]:
    names = ("web", "api", "other", "fall")
    services = {
        ("default", n): service(n, ports=[{"name": "http", "port": 80}, {"name": "alt", "port": 81}]) for n in names
    }
    slices = [piece(n, endpoint(f"10.244.0.{i}")) for i, n in enumerate(names)]
    return plan(
        list(ingresses), Sources(services, slices, secrets or {}), FALLBACK, lambda c, k: "bad" if c == "bad" else ""
    )


def sent(snapshot: Snapshot, host: str, text: str) -> str:
    """Which cluster Envoy would send a request to: by the configuration that it gets."""
    hosts = envoy.routes(snapshot)["resources"][0]["virtual_hosts"]
    by_domain = {h["domains"][0]: h for h in hosts}
    stars = sorted((d for d in by_domain if d.startswith("*.") and host.endswith(d[1:])), key=len, reverse=True)
    found = by_domain.get(host) or next((by_domain[d] for d in stars), by_domain.get("*"))
    for route in (found or {}).get("routes", []):
        match = route["match"]
        headers = [h["string_match"]["safe_regex"]["regex"] for h in match["headers"] if h["name"] == ":authority"]
        if any(not re.fullmatch(regex, host) for regex in headers):
            continue
        prefix = match.get("path_separated_prefix")
        if (
            match.get("path") == text
            or (prefix is not None and (text == prefix or text.startswith(prefix + "/")))
            or ("prefix" in match and text.startswith(match["prefix"]))
        ):
            return str(route["route"]["cluster"]).partition("/")[2].partition(":")[0] if "route" in route else "503"
    return "404"


def test_the_longest_path_has_it_and_an_exact_one_before_a_prefix() -> None:
    paths = [path("/"), path("/api", name="api"), path("/api", "Exact", "other"), path("/api/deep/", name="fall")]
    snapshot, problems = made(ingress("i", ("a.com", paths)))
    assert problems == []
    cases = {"/": "web", "/x": "web", "/apix": "web", "/api": "other", "/api/": "api", "/api/x": "api"}
    cases |= {"/api/deep": "fall", "/api/deep/": "fall", "/api/deeper": "api"}
    assert {text: sent(snapshot, "a.com", text) for text in cases} == cases
    assert sent(snapshot, "b.com", "/") == "404"


def test_hosts_with_a_star_take_one_label_and_general_rules_come_after_a_hosts_own() -> None:
    snapshot, _ = made(
        ingress("i", ("a.com", [path("/a")]), ("*.a.com", [path("/", name="api")])),
        ingress("j", ("", [path("/any", name="other")])),
        ingress("k", defaultBackend={"service": {"name": "fall", "port": {"name": "http"}}}),
    )
    assert sent(snapshot, "a.com", "/a/x") == "web"
    assert sent(snapshot, "a.com", "/any") == "other"
    assert sent(snapshot, "a.com", "/none") == "fall"
    assert sent(snapshot, "x.a.com", "/") == "api"
    assert sent(snapshot, "y.x.a.com", "/") == "fall"
    assert sent(snapshot, "b.com", "/any/x") == "other"
    assert sent(snapshot, "b.com", "/none") == "fall"


def test_of_two_that_want_the_same_path_the_older_one_has_it() -> None:
    young, old = ingress("a", ("a.com", [path("/")]), age=5), ingress("b", ("a.com", [path("/", name="api")]), age=1)
    ours: Object = {"metadata": {"name": "heeler"}, "spec": {"controller": "heeler.dev/ingress"}}
    snapshot, _ = made(*chosen([young, old], [ours]))
    assert sent(snapshot, "a.com", "/") == "api"


def test_ingresses_of_other_classes_are_left_alone() -> None:
    notes = {"ingressclass.kubernetes.io/is-default-class": "true"}
    ours: Object = {"metadata": {"name": "heeler", "annotations": notes}, "spec": {"controller": "heeler.dev/ingress"}}
    bare = ingress("bare")
    del bare["spec"]["ingressClassName"]
    other = ingress("other", ingressClassName="nginx")
    found = [ingress("named"), bare, other]
    assert [i["metadata"]["name"] for i in chosen(found, [ours])] == ["bare", "named"]
    ours["metadata"]["annotations"] = {}
    assert [i["metadata"]["name"] for i in chosen(found, [ours])] == ["named"]


def test_what_is_missing_is_said_and_answered_with_503() -> None:
    resource = {**path("/kind"), "backend": {"resource": {"kind": "K", "name": "n"}}}
    paths = [path("/gone", name="gone"), path("/port", number=99), resource]
    snapshot, problems = made(ingress("i", ("a.com", paths)))
    assert {p.reason: p.message for p in problems} == {
        "ServiceNotFound": 'service "default/gone" not found',
        "PortNotFound": 'service "default/web" has no port 99',
        "UnsupportedBackend": "backend K n: only Services can be backends",
    }
    assert [sent(snapshot, "a.com", text) for text in ("/gone", "/port", "/kind")] == ["503"] * 3


def test_certificates_go_by_name_and_bad_ones_are_told() -> None:
    tls = [{"hosts": ["a.com", "*.b.com"], "secretName": "one"}, {"hosts": ["c.com"], "secretName": "gone"}]
    tls += [{"hosts": ["d.com"], "secretName": "broken"}, {"secretName": "two"}]
    found = ingress("i", ("a.com", [path("/")]), tls=tls)
    assert secrets_of([found]) == [("default", n) for n in ("one", "gone", "broken", "two")]
    secrets = {("default", "one"): ("c1", "k1"), ("default", "two"): ("c2", "k2"), ("default", "broken"): ("bad", "k")}
    snapshot, problems = made(found, secrets=secrets)
    assert [(c.names, c.certificate) for c in snapshot.certificates] == [(("a.com", "*.b.com"), "c1"), ((), "c2")]
    assert [(p.reason, p.message) for p in problems] == [
        ("SecretNotFound", 'secret "default/gone" with tls.crt and tls.key not found'),
        ("InvalidSecret", 'secret "default/broken": bad'),
    ]
    listeners = envoy.listeners(snapshot, Gateway("127.0.0.1", 80, 443, "/ns"), "/r")["resources"]
    assert [r["name"] for r in listeners] == ["http", "https"]
    chains = listeners[1]["filter_chains"]
    assert [c.get("filter_chain_match") for c in chains] == [{"server_names": ["a.com", "*.b.com"]}, None]
    assert [r["name"] for r in envoy.listeners(Snapshot(), Gateway("127.0.0.1", 80, 443), "/r")["resources"]] == [
        "http"
    ]


def test_endpoints_that_end_are_left_out_while_there_are_others() -> None:
    services = {("default", "web"): service("web")}
    ending = endpoint("10.244.0.1", ready=False, serving=True, terminating=True)
    for ends, wanted in (([ending, endpoint("10.244.0.2")], "10.244.0.2"), ([ending], "10.244.0.1")):
        snapshot, _ = plan(
            [ingress("i", ("", [path("/")]))], Sources(services, [piece("web", *ends)]), FALLBACK, check_pair
        )
        assert [c.endpoints for c in snapshot.clusters] == [((wanted, 8080),)]


@pytest.mark.parametrize(("certificate", "key"), [("", ""), ("x", "y"), ("-----BEGIN CERTIFICATE-----\nx", "")])
def test_what_is_no_pair_is_found_out(certificate: str, key: str) -> None:
    assert "is no PEM" in check_pair(certificate, key)


def test_a_key_of_another_certificate_is_found_out() -> None:
    from heeler.base import pki

    one, other = (pki.new_authority(n, 1_700_000_000.0) for n in "ab")
    assert check_pair(one.certificate.decode(), one.key.decode()) == ""
    assert check_pair(one.certificate.decode(), other.key.decode()) == "tls.key does not belong to tls.crt"
