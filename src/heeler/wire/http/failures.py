"""Why a request got no answer, in the words of Go's net/http: people and tools look for them."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from heeler.base.dialing import dial_error

#: Go's words for OpenSSL's codes: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_CERTIFICATE = {
    9: "x509: certificate has expired or is not yet valid",
    10: "x509: certificate has expired or is not yet valid",
    18: "x509: certificate signed by unknown authority",
    19: "x509: certificate signed by unknown authority",
    20: "x509: certificate signed by unknown authority",
    21: "x509: certificate signed by unknown authority",
}
_PORTS = {"http": 80, "https": 443}


def failure(url: str, error: OSError) -> str:
    """E.g. "dial tcp 10.0.0.1:443: connect: connection refused" or "EOF"; without the method and the URL."""
    if isinstance(error, ssl.SSLCertVerificationError):
        found = _CERTIFICATE.get(error.verify_code) or f"x509: {error.verify_message}"
        return f"tls: failed to verify certificate: {found}"
    if isinstance(error, ssl.SSLError):
        return f"tls: {error.reason or error}".lower()
    if error.errno or isinstance(error, TimeoutError):
        parts = urlsplit(url)
        return dial_error(parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443), error)
    return "EOF" if isinstance(error, ConnectionResetError) else str(error)
