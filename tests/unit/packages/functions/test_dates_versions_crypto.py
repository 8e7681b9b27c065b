"""Dates, versions, keys and passwords: right values are helm's own."""

from __future__ import annotations

from typing import Any

import pytest

from heeler.packages.functions import FUNCTIONS
from heeler.packages.functions.crypto import Certificate
from heeler.packages.template.formatting import text
from heeler.packages.template.values import GoError, Int64


def call(name: str, *arguments: Any) -> Any:
    return FUNCTIONS[name].call(*arguments)


def fault(name: str, *arguments: Any) -> str:
    with pytest.raises(GoError) as caught:
        call(name, *arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("layout", "seconds", "zone", "shown"),
    [
        ("Mon Jan _2 15:04:05 2006", 1709210096, "UTC", "Thu Feb 29 12:34:56 2024"),
        ("002 __2 pm PM 3", 1709210096, "UTC", "060  60 pm PM 12"),
        ("MST -0700 -07:00 Z0700", 1709210096, "UTC", "UTC +0000 +00:00 Z"),
        ("15:04 MST", 1700000000, "America/New_York", "17:13 EST"),
        ("15:04", 1700000000, "No/Where", "22:13"),
        ("Month Janu 05.000 05.999", 0, "UTC", "Month Janu 00.000 00"),
        ("2006", -62135596801, "UTC", "0000"),
        ("2006", 253402300800, "UTC", "10000"),
    ],
)
def test_layouts(layout: str, seconds: int, zone: str, shown: str) -> None:
    assert call("dateInZone", layout, seconds, zone) == shown


def test_reading_dates() -> None:
    moment = call("mustToDate", "2006-01-02T15:04:05Z07:00", "2024-02-03T01:02:03.5+02:00")
    assert text(moment) == "2024-02-03 01:02:03.5 +0200 +0200"
    assert call("toJson", {"t": moment}) == '{"t":"2024-02-03T01:02:03.5+02:00"}'
    assert call("toYamlPretty", {"t": moment}) == "t: 2024-02-03T01:02:03.5+02:00"
    assert call("unixEpoch", call("toDate", "x", "y")) == "-62135596800"
    told = 'parsing time "2024/01/01" as "2006-01-02": cannot parse "/01/01" as "-"'
    assert fault("mustToDate", "2006-01-02", "2024/01/01") == told
    assert fault("mustToDate", "2006-01-02", "2024-02-30") == 'parsing time "2024-02-30": day out of range'
    moved = call("dateModify", "24h", call("toDate", "2006-01-02", "2024-02-28"))
    assert call("date", "2006-01-02", moved) == "2024-02-29"


def test_durations() -> None:
    assert [call("duration", value) for value in (95, "95", Int64(95), "x")] == ["0s", "1m35s", "1m35s", "0s"]
    assert [call("durationRound", value) for value in ("95h", "1h", "-1h", "9000h", 95)] == [
        "3d",
        "60m",
        "60m",
        "1y",
        "0s",
    ]
    assert call("durationSeconds", " 1.5m ") == 90.0 and call("durationDays", "1h") == 1 / 24
    assert text(call("durationRoundTo", "-95s", "10s")) == "-1m40s"
    assert fault("mustToDuration", "junk") == 'could not parse duration "junk"'
    assert fault("mustDateModify", "1d", call("now")) == 'time: unknown unit "d" in duration "1d"'


@pytest.mark.parametrize(
    ("constraint", "version", "met"),
    [
        ("~1.2.3", "1.2.9", True), ("~1", "1.9.0", True), ("^0.2.3", "0.3.0", False), ("^0.0.3", "0.0.4", False),
        ("^0", "0.9.0", True), (">1.x", "1.5.0", False), ("!=1.x", "1.5.0", False), ("*", "1.0.0-rc", False),
        (">=1.19-0", "v1.28.3-eks-4f4795d", True), (">=1.2.3", "1.3.0-rc1", False), (">=1.0 <2 || 3.x", "3.1.0", True),
        ("1.0.0-a - 2.0.0-0", "1.5.0-x", True), (">= 1.16.0, < 1.22.0", "v1.20.4", True), ("<=1.2", "1.2.9", True),
    ],
)  # fmt: skip
def test_constraints(constraint: str, version: str, met: bool) -> None:
    assert call("semverCompare", constraint, version) is met


def test_versions() -> None:
    version = call("semver", "v1.2-beta.1+b5")
    assert text(version) == "1.2.0-beta.1+b5" and version.original == "v1.2-beta.1+b5"
    assert fault("semver", "1.2.3.4") == "invalid semantic version"
    assert fault("semver", "1.2.3-01") == "version segment starts with 0"
    assert fault("semverCompare", ">=1.2 &", "1.2.0") == 'improper constraint: ">=1.2 &"'


def test_derived_passwords() -> None:
    assert call("derivePassword", 1, "long", "password", "user", "example.com") == "ZedaFaxcZaso9*"
    assert call("derivePassword", 1, "pin", "p", "u", "s") == "2461"
    assert call("derivePassword", 1, "nope", "p", "u", "s") == "cannot find password template nope"


def test_certificates_are_signed() -> None:
    from cryptography import x509

    authority = call("genCA", "my-ca", 3)
    leaf = call("genSignedCert", "svc", ["10.0.0.1"], ["a.b"], 2, authority)
    certificate, signer = (x509.load_pem_x509_certificate(one.certificate.encode()) for one in (leaf, authority))
    certificate.verify_directly_issued_by(signer)
    assert leaf.key.startswith("-----BEGIN RSA PRIVATE KEY-----")
    encoded = (call("b64enc", authority.certificate), call("b64enc", authority.key))
    assert call("buildCustomCert", *encoded) == Certificate(authority.certificate, authority.key)
    assert fault("genSelfSignedCert", "x", ["y"], [], 1) == "error parsing ip: y"


def test_aes_there_and_back() -> None:
    assert call("decryptAES", "key", call("encryptAES", "key", "hellö")) == "hellö"
    assert fault("decryptAES", "k", "!") == "illegal base64 data at input byte 0"


def test_what_is_random_has_its_shape() -> None:
    assert len(call("randAlphaNum", 5)) == 5 and call("randAlpha", -1) == ""
    assert len(call("b64dec", call("randBytes", 16))) >= 8 and sorted(call("shuffle", "abc")) == ["a", "b", "c"]
    assert call("regexMatch", "^[0-9a-f]{8}-.{4}-4.{3}-[89ab].{3}-.{12}$", call("uuidv4"))
    assert call("htpasswd", "a:b", "c") == "invalid username: a:b"


def test_a_common_name_may_be_long() -> None:
    assert call("genCA", "x" * 70, 1).certificate.startswith("-----BEGIN CERTIFICATE-----")
