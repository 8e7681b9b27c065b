"""Cluster DNS by the Kubernetes DNS specification: what is said of which name, and how it goes over the wire."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from typing import Any

import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.base.clock import SystemClock
from heeler.base.random import SystemRandom
from heeler.network.dns import message
from heeler.network.dns.answers import NOERROR, NXDOMAIN, SERVFAIL, answer
from heeler.network.dns.forward import Forwarder, lifetime, name_servers
from heeler.network.dns.records import Records, Srv
from heeler.network.dns.server import DnsServer, Resolver, bind
from heeler.objects.value import Object

HTTP = {"name": "http", "port": 80, "protocol": "TCP"}


def service(name: str, ip: str = "", **spec: Any) -> Object:
    spec = {"clusterIP": ip, "clusterIPs": [ip] if ip else [], "ports": [HTTP], **spec}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def piece(name: str, *entries: Object, port: int = 8080) -> Object:
    return {
        "metadata": {"name": f"{name}-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": list(entries),
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def entry(ip: str, hostname: str = "", ready: bool | None = True) -> Object:
    out: Object = {"addresses": [ip], "conditions": {"ready": ready}}
    return {**out, "hostname": hostname} if hostname else out


@pytest.fixture
def records() -> Records:
    objects = [
        service("web", "10.96.0.20"),
        service("db", "None"),
        service("empty", "None"),
        service("far", type="ExternalName", externalName="www.example.com"),
        service("near", type="ExternalName", externalName="web.shop.svc.cluster.local."),
        service("loop", type="ExternalName", externalName="loop.shop.svc.cluster.local"),
    ]
    services = {("shop", o["metadata"]["name"]): o for o in objects}
    found = Records(services, {("", "shop"): {}}, domain="cluster.local", address="10.96.0.10")
    found.slice_changed(None, piece("db", entry("10.244.0.5", "db-0"), entry("10.244.0.6", "", None)))
    found.slice_changed(None, piece("empty", entry("10.244.0.7", "", False)))
    return found


CASES: list[tuple[str, str, int, list[Any]]] = [
    ("web.shop.svc.cluster.local", "A", NOERROR, ["10.96.0.20"]),
    ("WEB.Shop.svc.cluster.local", "A", NOERROR, ["10.96.0.20"]),
    ("web.shop.svc.cluster.local", "AAAA", NOERROR, []),
    ("web.shop.svc.cluster.local", "SRV", NOERROR, [Srv(0, 100, 80, "web.shop.svc.cluster.local")]),
    ("_http._tcp.web.shop.svc.cluster.local", "SRV", NOERROR, [Srv(0, 100, 80, "web.shop.svc.cluster.local")]),
    ("_tcp.web.shop.svc.cluster.local", "A", NOERROR, []),
    ("_udp.web.shop.svc.cluster.local", "A", NXDOMAIN, []),
    ("_other._tcp.web.shop.svc.cluster.local", "SRV", NXDOMAIN, []),
    ("_http._udp.web.shop.svc.cluster.local", "SRV", NXDOMAIN, []),
    ("web.other.svc.cluster.local", "A", NXDOMAIN, []),
    ("gone.shop.svc.cluster.local", "A", NXDOMAIN, []),
    ("x.web.shop.svc.cluster.local", "A", NXDOMAIN, []),
    ("db.shop.svc.cluster.local", "A", NOERROR, ["10.244.0.5", "10.244.0.6"]),
    ("db-0.db.shop.svc.cluster.local", "A", NOERROR, ["10.244.0.5"]),
    ("10-244-0-6.db.shop.svc.cluster.local", "A", NOERROR, ["10.244.0.6"]),
    ("10-244-0-5.db.shop.svc.cluster.local", "A", NXDOMAIN, []),
    (
        "_http._tcp.db.shop.svc.cluster.local",
        "SRV",
        NOERROR,
        [
            Srv(0, 50, 8080, "db-0.db.shop.svc.cluster.local"),
            Srv(0, 50, 8080, "10-244-0-6.db.shop.svc.cluster.local"),
        ],
    ),
    ("empty.shop.svc.cluster.local", "A", NXDOMAIN, []),
    ("far.shop.svc.cluster.local", "A", NOERROR, ["www.example.com"]),
    ("near.shop.svc.cluster.local", "A", NOERROR, ["web.shop.svc.cluster.local", "10.96.0.20"]),
    ("loop.shop.svc.cluster.local", "A", 2, ["loop.shop.svc.cluster.local"] * 8),
    ("10-244-0-9.shop.pod.cluster.local", "A", NOERROR, ["10.244.0.9"]),
    ("10-244-0-9.other.pod.cluster.local", "A", NXDOMAIN, []),
    ("10-244-0-999.shop.pod.cluster.local", "A", NXDOMAIN, []),
    ("svc.cluster.local", "A", NOERROR, []),
    ("shop.svc.cluster.local", "A", NOERROR, []),
    ("other.svc.cluster.local", "A", NXDOMAIN, []),
    ("dns-version.cluster.local", "TXT", NOERROR, ["1.1.0"]),
    ("ns.dns.cluster.local", "A", NOERROR, ["10.96.0.10"]),
    ("cluster.local", "NS", NOERROR, ["ns.dns.cluster.local"]),
    ("20.0.96.10.in-addr.arpa", "PTR", NOERROR, ["web.shop.svc.cluster.local"]),
    ("5.0.244.10.in-addr.arpa", "PTR", NOERROR, ["db-0.db.shop.svc.cluster.local"]),
    ("6.0.244.10.in-addr.arpa", "PTR", NOERROR, ["10-244-0-6.db.shop.svc.cluster.local"]),
    ("7.0.244.10.in-addr.arpa", "PTR", NXDOMAIN, []),
]


@pytest.mark.parametrize(("name", "type", "code", "values"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_names_have_the_records_of_the_specification(
    records: Records, name: str, type: str, code: int, values: list[Any]
) -> None:
    found = answer(records, name, type, [ipaddress.IPv4Network("10.244.0.0/16")])
    assert found is not None
    assert (found.code, sorted(line.value for line in found.lines)) == (code, sorted(values))
    assert bool(found.authority) == (not values)  # "nothing" comes with the zone's SOA


@pytest.mark.parametrize("name", ["example.com", "8.8.8.8.in-addr.arpa", "xcluster.local", ""])
def test_other_names_are_not_the_clusters(records: Records, name: str) -> None:
    assert answer(records, name, "A", [ipaddress.IPv4Network("10.244.0.0/16")]) is None


def test_srv_records_come_with_their_targets_addresses(records: Records) -> None:
    found = answer(records, "_http._tcp.db.shop.svc.cluster.local", "SRV")
    assert found is not None
    assert [line.value for line in found.extra] == ["10.244.0.5", "10.244.0.6"]


def test_an_endpoint_that_goes_takes_its_names_along(records: Records) -> None:
    old = piece("db", entry("10.244.0.5", "db-0"))
    assert records.names("10.244.0.5")
    records.slice_changed(old, None)
    assert records.names("10.244.0.5") == []
    found = answer(records, "db.shop.svc.cluster.local", "A")
    assert found is not None and found.code == NXDOMAIN


def resolver(records: Records, forwarder: Forwarder | None = None) -> Resolver:
    synced = asyncio.Event()
    synced.set()
    return Resolver(records, forwarder, synced)


def test_an_answer_that_is_too_long_is_cut_and_marked(records: Records) -> None:
    records.slice_changed(None, piece("db", *(entry(f"10.244.1.{i}") for i in range(100))))
    question = dnslib.DNSRecord.question("db.shop.svc.cluster.local")
    for size, edns in ((512, False), (1232, True)):
        if edns:
            question.add_ar(dnslib.EDNS0(udp_len=4096))
        data = resolver(records).at_once(bytes(question.pack()))
        assert data is not None and len(data) <= size
        reply = dnslib.DNSRecord.parse(data)
        assert reply.header.tc and 0 < len(reply.rr) < 100
        assert bool(reply.ar) == edns
    data = resolver(records).at_once(bytes(question.pack()), tcp=True)
    assert data is not None
    reply = dnslib.DNSRecord.parse(data)
    assert not reply.header.tc and len(reply.rr) == 100


def test_addresses_take_turns_and_answers_follow_changes(records: Records) -> None:
    found = resolver(records)
    question = bytes(dnslib.DNSRecord.question("db.shop.svc.cluster.local").pack())
    firsts = {str(dnslib.DNSRecord.parse(found.at_once(question) or b"").rr[0].rdata) for _ in range(4)}
    assert firsts == {"10.244.0.5", "10.244.0.6"}
    question = bytes(dnslib.DNSRecord.question("web.shop.svc.cluster.local").pack())
    assert found.at_once(question) == found.at_once(question)
    del records._services[("shop", "web")]  # type: ignore[attr-defined]
    records.object_changed({}, None)
    assert dnslib.DNSRecord.parse(found.at_once(question) or b"").header.rcode == NXDOMAIN


@given(st.binary(max_size=80))
def test_no_bytes_break_the_resolver(data: bytes) -> None:
    records = Records({}, {}, domain="cluster.local", address="10.96.0.10")
    reply = asyncio.run(resolver(records).in_time(data))
    assert reply == b"" or reply[:2] == data[:2]


@given(st.binary(max_size=40))
def test_no_question_after_a_good_head_breaks_the_resolver(data: bytes) -> None:
    test_no_bytes_break_the_resolver.hypothesis.inner_test(b"\0\1\1\0\0\1\0\0\0\0\0\0" + data)  # type: ignore[attr-defined]


def _pointers(count: int) -> bytes:
    """A question, a NULL record with a chain of pointers, each to the one before it, and a name that points to its end."""
    head = b"\0\1\1\0\0\1\0\2\0\0\0\0" + b"\1a\0\0\1\0\1" + b"\0\0\x0a\0\1\0\0\0\0"
    start = len(head) + 2
    chain = b"\0\0" + b"".join((0xC000 | (start + 2 * at)).to_bytes(2, "big") for at in range(count))
    last = (0xC000 | (start + 2 * count)).to_bytes(2, "big")
    return head + len(chain).to_bytes(2, "big") + chain + last + b"\0\x0a\0\1\0\0\0\0\0\1x"


@pytest.mark.parametrize(
    "data",
    [
        _pointers(2000),
        b"\0\1\1\0\0\1\0\0\0\0\0\0" + (b"\x3f" + b"a" * 63) * 5 + b"\0\0\1\0\1",
        b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\x50" + b"a" * 80 + b"\0\0\1\0\1",
    ],
    ids=["pointers", "name", "label"],
)
def test_names_that_cannot_be_followed_or_written_are_malformed(records: Records, data: bytes) -> None:
    assert message.parse(_pointers(2)).name == "a"
    for tcp in (False, True):
        reply = resolver(records).at_once(data, tcp)
        assert reply is not None and (reply[:2], reply[3] & 15) == (data[:2], message.FORMERR)


def test_an_answer_that_cannot_be_written_is_a_failure() -> None:
    known = {("shop", "far"): service("far", type="ExternalName", externalName="a" * 200)}
    question = dnslib.DNSRecord.question("far.shop.svc.cluster.local")
    found = resolver(Records(known, {}, domain="cluster.local", address="10.96.0.10"))
    assert asyncio.run(found.in_time(bytes(question.pack())))[3] & 15 == SERVFAIL
    reply = question.reply()
    reply.add_answer(dnslib.RR("far.shop.svc.cluster.local", 5, rdata=dnslib.CNAME(dnslib.DNSLabel([b"a" * 200]))))
    assert message.pack(message.parse(bytes(question.pack())), reply, 512)[3] & 15 == SERVFAIL


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda q: setattr(q.header, "opcode", 5), message.NOTIMP),
        (lambda q: setattr(q.q, "qtype", 252), message.REFUSED),
        (lambda q: q.add_question(dnslib.DNSQuestion("b")), message.FORMERR),
    ],
)
def test_what_is_not_served_is_refused_by_its_code(records: Records, change: Any, code: int) -> None:
    question = dnslib.DNSRecord.question("web.shop.svc.cluster.local")
    change(question)
    data = resolver(records).at_once(bytes(question.pack()))
    assert data is not None and data[3] & 15 == code


def test_without_a_way_out_other_names_are_refused(records: Records) -> None:
    data = asyncio.run(resolver(records).in_time(bytes(dnslib.DNSRecord.question("example.com").pack())))
    assert data[3] & 15 == message.REFUSED


def _same_port() -> tuple[Any, int]:
    """Both kinds of sockets on one free port: a port that is free for one may be taken for the other."""
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with contextlib.suppress(OSError):
            return bind("127.0.0.1", port), port
    raise AssertionError("no port")


def test_other_names_are_asked_of_the_host_once_and_kept(records: Records) -> None:
    asked: list[str] = []

    class Upstream(Resolver):
        def at_once(self, data: bytes, tcp: bool = False) -> bytes | None:
            question = dnslib.DNSRecord.parse(data)
            asked.append(f"{question.q.qname}{question.q.qtype}{'tcp' if tcp else ''}")
            reply = question.reply()
            name = str(question.q.qname)
            if name == "big.example.com.":
                count = 200 if tcp else 0
                reply.add_answer(*(dnslib.RR(name, 1, ttl=60, rdata=dnslib.A(f"192.0.2.{i}")) for i in range(count)))
                reply.header.tc = int(not tcp)
            elif name != "none.example.com.":
                reply.add_answer(dnslib.RR(name, 1, ttl=60, rdata=dnslib.A("192.0.2.1")))
            return bytes(reply.pack())

        async def in_time(self, data: bytes, tcp: bool = False) -> bytes:
            return self.at_once(data, tcp) or b""

    async def main() -> None:
        upstream = DnsServer(Upstream(records, None, asyncio.Event()))
        bound, port = _same_port()
        await upstream.serve(bound)
        # the first server is deaf: the second one is asked
        found = resolver(records, Forwarder(SystemClock(), SystemRandom(), ("127.0.0.9", "127.0.0.1"), port))

        async def ask(name: str, tcp: bool = False) -> Any:
            return dnslib.DNSRecord.parse(await found.in_time(bytes(dnslib.DNSRecord.question(name).pack()), tcp))

        try:
            replies = await asyncio.gather(*(ask("www.example.com") for _ in range(5)))
            assert {str(r.rr[0].rdata) for r in replies} == {"192.0.2.1"}
            assert len(asked) == 1
            reply = await ask("far.shop.svc.cluster.local")
            assert [str(rr.rdata) for rr in reply.rr] == ["www.example.com.", "192.0.2.1"]
            assert len((await ask("big.example.com", tcp=True)).rr) == 200
            assert (await ask("big.example.com")).header.tc
            assert (await ask("none.example.com")).rr == []
        finally:
            await upstream.close()

    asyncio.run(main())


def test_failures_of_all_servers_are_a_failure_soon(records: Records) -> None:
    found = resolver(records, Forwarder(SystemClock(), SystemRandom(), ()))
    reply = asyncio.run(found.in_time(bytes(dnslib.DNSRecord.question("example.com").pack())))
    assert reply[3] & 15 == 2


def test_a_resolv_conf_names_three_servers_at_most() -> None:
    text = (
        "# x\nnameserver 127.0.0.53\nsearch a\nnameserver nonsense\nnameserver fe80::1%eth0\n"
        + "nameserver 1.1.1.1\n" * 2
    )
    assert name_servers(text) == ("127.0.0.53", "fe80::1%eth0", "1.1.1.1")


def test_negative_answers_live_as_long_as_their_soa_says() -> None:
    reply = dnslib.DNSRecord.question("x.example.com").reply()
    assert lifetime(reply) == 0
    reply.add_auth(dnslib.RR("example.com", 6, ttl=900, rdata=dnslib.SOA("a", "b", (1, 2, 3, 4, 30))))
    assert lifetime(reply) == 30
