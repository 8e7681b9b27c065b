"""Certificate requests are approved, signed and cleaned up; what is signed is good for the API server."""

import base64
import json
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from heeler.base.pki import Requested
from heeler.controllers.certificates import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, problem
from heeler.testing.cluster import FreshCluster


@pytest.fixture(scope="module")
def shared() -> Iterator[FreshCluster]:
    with FreshCluster() as found:
        yield found


@pytest.fixture
def cluster(shared: FreshCluster) -> FreshCluster:
    shared.reset()
    return shared


def request(name: str, *groups: str, dns: str = "") -> tuple[bytes, bytes]:
    """(key, request), PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(dns)]), critical=False)
    made = builder.sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    return (
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
        made.public_bytes(serialization.Encoding.PEM),
    )


def csr(name: str, pem: bytes, signer: str, *usages: str, seconds: int | None = None) -> dict[str, object]:
    spec = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": list(usages)}
    if seconds:
        spec["expirationSeconds"] = seconds  # type: ignore[assignment]
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": spec,
    }


def test_kubectl_certificate_approve_makes_a_user(
    cluster: FreshCluster, kubectl: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{Path(kubectl).parent}{os.pathsep}{os.environ['PATH']}")
    key, pem = request("jane", "devs")
    cluster.create(csr("jane", pem, CLIENT, "client auth", seconds=3600))
    cluster.settle()
    assert cluster.get("csr", "jane")["status"] == {}, "somebody has to approve it"
    cluster.kubectl("certificate", "approve", "jane")
    found = cluster.wait("csr/jane", lambda obj: bool(obj["status"].get("certificate")))
    certificate = base64.b64decode(found["status"]["certificate"])
    life = x509.load_pem_x509_certificate(certificate)
    assert (life.not_valid_after_utc - life.not_valid_before_utc).total_seconds() == 3600 + 300

    (tmp_path / "jane.crt").write_bytes(certificate)
    (tmp_path / "jane.key").write_bytes(key)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(tmp_path / "jane.crt", tmp_path / "jane.key")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{cluster.server}/api/v1/pods", context=context)
    with refused.value:
        assert 'User "jane" cannot list resource "pods"' in json.loads(refused.value.read())["message"]


def test_what_a_signer_may_not_sign_fails(cluster: FreshCluster) -> None:
    _, pem = request("jane")
    cluster.create(csr("wrong", pem, CLIENT, "server auth"))
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "by the test"}
    cluster.patch("csr", "wrong", {"status": {"conditions": [approved]}}, subresource="approval")
    found = cluster.wait("csr/wrong", "condition=Failed")
    failed = found["status"]["conditions"][-1]
    assert (failed["reason"], failed["message"]) == (
        "SignerValidationFailure",
        "invalid usage for client certificate: server auth",
    )


def test_a_nodes_client_is_approved_by_itself(cluster: FreshCluster) -> None:
    _, pem = request("system:node:new", "system:nodes")
    cluster.create(csr("node", pem, KUBELET_CLIENT, "digital signature", "client auth"))
    found = cluster.wait("csr/node", lambda obj: bool(obj["status"].get("certificate")))
    assert found["status"]["conditions"][0]["reason"] == "AutoApproved"
    assert found["status"]["conditions"][0]["message"].startswith("Auto approving kubelet client certificate")


def test_old_requests_go(cluster: FreshCluster) -> None:
    _, pem = request("jane")
    cluster.create(csr("pending", pem, CLIENT, "client auth"))
    cluster.create(csr("signed", pem, CLIENT, "client auth"))
    approved = {"type": "Approved", "status": "True", "reason": "Test", "message": "by the test"}
    cluster.patch("csr", "signed", {"status": {"conditions": [approved]}}, subresource="approval")
    cluster.wait("csr/signed", lambda obj: bool(obj["status"].get("certificate")))
    cluster.advance("90m")
    assert [one["metadata"]["name"] for one in cluster.list("csr", None)] == ["pending"]
    cluster.advance("24h")
    assert cluster.list("csr", None) == []


NODE = Requested("system:node:a", ("system:nodes",))


@pytest.mark.parametrize(
    ("signer", "requested", "usages", "why"),
    [
        (CLIENT, Requested("jane", ()), ("client auth", "key encipherment"), ""),
        (
            CLIENT,
            Requested("jane", ()),
            ("digital signature",),
            "missing required usage for client certificate: client auth",
        ),
        (KUBELET_CLIENT, NODE, ("digital signature", "client auth"), ""),
        (
            KUBELET_CLIENT,
            NODE,
            ("client auth",),
            "usages did not match [client auth digital signature key encipherment]",
        ),
        (
            KUBELET_CLIENT,
            Requested("a", ("system:nodes",)),
            ("digital signature", "client auth"),
            "subject common name does",
        ),
        (KUBELET_CLIENT, Requested("system:node:a", ()), (), "subject organization is not system:nodes"),
        (
            KUBELET_CLIENT,
            Requested("system:node:a", ("system:nodes",), dns=("a",)),
            (),
            "DNS subjectAltNames are not allowed",
        ),
        (KUBELET_SERVING, NODE, ("digital signature", "server auth"), "DNS or IP subjectAltName is required"),
    ],
)
def test_what_signers_look_at(signer: str, requested: Requested, usages: tuple[str, ...], why: str) -> None:
    found = problem(signer, requested, usages)
    assert found.startswith(why) if why else found == ""
