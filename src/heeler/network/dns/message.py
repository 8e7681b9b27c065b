"""Questions and answers on the wire: read strictly, written with EDNS, truncated to what the asker takes. Pure.

Source: RFC 1035, RFC 2308 (negative answers), RFC 6891 (EDNS)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dnslib
from dnslib.label import DNSBuffer, DNSLabelError

from heeler.network.dns.answers import SERVFAIL, TTL, Answer, Line
from heeler.network.dns.records import Srv

#: Bytes of a UDP answer: without EDNS, and at most with it (no fragments on any path); of anything by TCP.
PLAIN_SIZE, EDNS_SIZE, TCP_SIZE = 512, 1232, 65535
QUERY, FORMERR, NOTIMP, REFUSED, BADVERS = 0, 1, 4, 5, 16
#: Kinds of questions that are transfers.
TRANSFERS = (251, 252)
#: The zone's SOA: refresh, retry, expire.
REFRESH, RETRY, EXPIRE = 7200, 1800, 86400


#: What reading a message or writing a name can raise; a long enough chain of pointers is followed too deep.
FAULTS = (dnslib.DNSError, DNSLabelError, ValueError, IndexError, KeyError, RecursionError)


class Malformed(Exception):
    """No question; `reply` is what is to be said to it (b"": nothing)."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("malformed question")
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it came. `size` is what the asker takes by UDP; `type` a number."""

    message: Any
    name: str
    type: int
    size: int
    edns: bool
    dnssec: bool

    @property
    def type_name(self) -> str:
        return str(dnslib.QTYPE.get(self.type))

    @property
    def key(self) -> tuple[str, int, bool]:
        return self.name.lower(), self.type, self.dnssec


def parse(data: bytes) -> Query:
    """Read a question. Raises Malformed."""
    if len(data) < 12 or data[2] & 0x80:  # too short for an id, or an answer: answering it could go on for ever
        raise Malformed(b"")
    try:
        message = dnslib.DNSRecord.parse(data)
        name = text(message.q.qname) if message.questions else ""
        for question in message.questions:
            DNSBuffer().encode_name(question.qname)  # too long a name can be read, but not be written into an answer
    except FAULTS as error:
        raise Malformed(_bare(data, FORMERR)) from error
    if message.header.opcode != QUERY:
        raise Malformed(_bare(data, NOTIMP))
    options = [rr for rr in message.ar if rr.rtype == dnslib.QTYPE.OPT]
    if len(message.questions) != 1 or len(options) > 1:
        raise Malformed(_bare(data, FORMERR))
    if message.q.qtype in TRANSFERS or message.q.qclass not in (1, 255):
        raise Malformed(_bare(data, REFUSED))
    size, dnssec = PLAIN_SIZE, False
    if options:
        if options[0].edns_ver > 0:
            raise Malformed(_bad_version(message))
        size, dnssec = min(max(PLAIN_SIZE, options[0].edns_len), EDNS_SIZE), bool(options[0].edns_do)
    return Query(message, name, message.q.qtype, size, bool(options), dnssec)


def text(label: Any) -> str:
    """A name without the dot at the end, in the letters in which it came."""
    return str(label).rstrip(".")


def about(query: Query, name: str) -> Query:
    """The same question about another name."""
    message = dnslib.DNSRecord(q=dnslib.DNSQuestion(name, query.type, query.message.q.qclass))
    return Query(message, name, query.type, query.size, query.edns, query.dnssec)


def _bare(data: bytes, code: int) -> bytes:
    """An answer of a header only."""
    return data[:2] + bytes(((data[2] & 0x79) | 0x80, 0x80 | code)) + bytes(8)


def _bad_version(message: Any) -> bytes:
    reply = message.reply(aa=0)
    # The upper bits of the code stand in the OPT record.
    reply.add_ar(dnslib.EDNS0(udp_len=EDNS_SIZE, ext_rcode=BADVERS >> 4))
    return bytes(reply.pack())


def encode(query: Query, answer: Answer, more: Sequence[Any] = ()) -> Any:
    """The message for an answer; `more` are records (of dnslib) that others gave."""
    reply = query.message.reply(aa=1)
    reply.header.rcode, reply.header.ad = answer.code, 0
    reply.add_answer(*map(_record, answer.lines), *more)
    reply.add_ar(*map(_record, answer.extra))
    if answer.authority:
        reply.add_auth(_soa(answer.authority))
    return reply


def relayed(query: Query, found: Any, age: int) -> Any:
    """The message for what another resolver said `age` seconds ago."""
    reply = query.message.reply(aa=0)
    reply.header.rcode, reply.header.ad = found.header.rcode, found.header.ad
    for target, records in ((reply.add_answer, found.rr), (reply.add_auth, found.auth), (reply.add_ar, found.ar)):
        target(*(older(rr, age) for rr in records if rr.rtype != dnslib.QTYPE.OPT))
    return reply


def older(rr: Any, age: int) -> Any:
    """A record with what is left of its time."""
    return dnslib.RR(rr.rname, rr.rtype, rr.rclass, max(0, rr.ttl - age), rr.rdata)


def failed(query: Query, code: int) -> Any:
    reply = query.message.reply(aa=0)
    reply.header.rcode = code
    return reply


def pack(query: Query, reply: Any, limit: int) -> bytes:
    """The bytes, not more than `limit`: what doesn't fit is left out and the answer marked as truncated. Names that can't
    be written (another resolver's, an ExternalName's) are a failure."""
    try:
        return _fitted(query, reply, limit)
    except DNSLabelError:
        return _fitted(query, failed(query, SERVFAIL), limit)


def _fitted(query: Query, reply: Any, limit: int) -> bytes:
    options = [dnslib.EDNS0(udp_len=EDNS_SIZE, flags="do" if query.dnssec else "")] if query.edns else []
    extra = list(reply.ar)
    reply.ar = extra + options
    data = bytes(reply.pack())
    if len(data) <= limit:
        return data
    reply.ar = options  # additional records may be left out without a word
    data = bytes(reply.pack())
    if len(data) <= limit:
        return data
    reply.header.tc = 1
    answers = list(reply.rr)
    low, high = 0, len(answers)
    while low < high:  # the most records that fit
        middle = (low + high + 1) // 2
        reply.rr = answers[:middle]
        low, high = (middle, high) if len(reply.pack()) <= limit else (low, middle - 1)
    reply.rr = answers[:low]
    data = bytes(reply.pack())
    if len(data) > limit:
        reply.auth = []
        data = bytes(reply.pack())
    return data


def _record(line: Line) -> Any:
    name, kind, value, ttl = line
    if kind == "SOA":
        return _soa(str(value))
    data = dnslib.SRV(*value) if isinstance(value, Srv) else getattr(dnslib, kind)(value)
    return dnslib.RR(name, getattr(dnslib.QTYPE, kind), 1, ttl, data)


def _soa(zone: str) -> Any:
    # Nothing is transferred, so the serial number says nothing; the last number is the time of negative answers.
    data = dnslib.SOA(f"ns.dns.{zone}", f"hostmaster.{zone}", (1, REFRESH, RETRY, EXPIRE, TTL))
    return dnslib.RR(zone, dnslib.QTYPE.SOA, 1, TTL, data)
