"""Ingresses as a snapshot: which request goes where, certificates by name, and what is said of what is missing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from heeler.base.clock import SystemClock
from heeler.envoy import snapshot as envoy
from heeler.envoy.process import Envoy
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


@pytest.mark.parametrize("kind", ["Prefix", "Exact", "ImplementationSpecific"])
@pytest.mark.parametrize("bad", ["/a?b", "/a#b", "/a b", "/a\r\nx: y", "/\0", "a"])
def test_a_path_that_envoy_refuses_is_left_out_and_told(bad: str, kind: str) -> None:
    snapshot, problems = made(ingress("i", ("a.com", [path("/ok"), path(bad, kind)])))
    assert [r.path for h in snapshot.hosts for r in h.routes] == ["/ok"]
    assert [(p.reason, p.message) for p in problems] == [
        (
            "InvalidPath",
            f"spec.rules[0].http.paths[1].path: {bad!r} is left out: "
            'it must start with "/" and have no "?", "#", space or control character',
        )
    ]


@pytest.mark.parametrize(
    "bad", ["*", "a.*.com", "*.", "a..com", "a.com:80", "a\r\nb", "a b", "-a", "a.com.\n", "x" * 254]
)
def test_a_host_that_envoy_refuses_is_left_out_and_told(bad: str) -> None:
    tls = [{"hosts": [bad, "b.com"], "secretName": "one"}]
    found = ingress("i", (bad, [path("/")]), ("b.com", [path("/")]), tls=tls)
    snapshot, problems = made(found, secrets={("default", "one"): ("c", "k")})
    assert [h.domain for h in snapshot.hosts] == ["b.com"]
    assert [c.names for c in snapshot.certificates] == [("b.com",), ()]
    assert [(p.reason, p.message.partition(":")[0]) for p in problems] == [
        ("InvalidHost", "spec.rules[0].host"),
        ("InvalidHost", "spec.tls[0].hosts"),
    ]


def test_a_name_has_one_certificate_however_often_it_is_written() -> None:
    tls = [
        {"hosts": ["a.com", "A.com", "a.com"], "secretName": "one"},
        {"hosts": ["a.COM", "b.com"], "secretName": "two"},
    ]
    secrets = {("default", "one"): ("c1", "k1"), ("default", "two"): ("c2", "k2")}
    snapshot, problems = made(ingress("i", ("a.com", [path("/")]), tls=tls), secrets=secrets)
    assert ([c.names for c in snapshot.certificates], problems) == ([("a.com",), ("b.com",), ()], [])


@given(st.text(max_size=12).map("/".__add__) | st.text("/?#a.", max_size=6), st.text("aA*.-\n", max_size=8))
def test_whatever_an_ingress_says_envoy_takes_the_routes(text: str, host: str) -> None:
    snapshot, _ = made(ingress("i", (host, [path(text), path(text, "Exact")])))
    found = envoy.routes(snapshot)["resources"][0]["virtual_hosts"]
    domains = [domain for one in found for domain in one["domains"]]
    assert len(domains) == len(set(domains))
    assert all(d == "*" or ("*" not in d[1:] and not set(d) & set("\0\r\n")) for d in domains)
    for match in (route["match"] for one in found for route in one["routes"]):
        # The rule of Envoy's RouteMatch; its "$" is the very end.
        assert re.fullmatch(r"[^?#]+[^?#/]", match.get("path_separated_prefix", "/a"))
        assert not re.search(r"[?#\0\r\n]", match.get("path", ""))


def _signed(key: Any, digest: Any = None) -> tuple[str, str]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
    certificate = builder.not_valid_after(datetime(2027, 1, 1, tzinfo=UTC)).sign(key, digest)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def test_a_key_that_envoy_refuses_is_found_out() -> None:
    sha = hashes.SHA256()
    weak = (rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP224R1()))
    for key in weak:
        assert check_pair(*_signed(key, sha)).startswith("the key must be RSA of 2048 to 8192 bits, ECDSA on P-256")
    curves = [ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())]
    assert {check_pair(*_signed(key, sha)) for key in (*curves, rsa.generate_private_key(65537, 2048))} == {""}
    assert check_pair(*_signed(ed25519.Ed25519PrivateKey.generate())) == ""


def test_the_expression_of_the_longest_host_with_a_star_is_within_envoys_limit() -> None:
    layer = envoy.bootstrap("/f", "n")["layered_runtime"]["layers"][0]["static_layer"]
    assert layer["re2.max_program_size.error_level"] >= 2 * 253  # its size by Envoy: 265 for the longest name


def test_what_envoy_refused_is_read_from_its_log_once(tmp_path: Path) -> None:
    made = Envoy(tmp_path, "n", tmp_path, SystemClock())
    assert made.refused() == []
    line = "[w] Filesystem config update rejected: bad route"
    with (tmp_path / "envoy.log").open("a") as file:
        file.write(f"[w] started\n{line}\n[w] half of a line rejected")
        file.flush()
        assert (made.refused(), made.refused()) == ([line], [])
        file.write(": x\n")
        file.flush()
        assert made.refused() == ["[w] half of a line rejected: x"]
