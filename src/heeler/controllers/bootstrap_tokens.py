"""What a Secret of the type `bootstrap.kubernetes.io/token` says, and the signatures that are made with it. Pure.

https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re

from heeler.base.clock import parse_rfc3339
from heeler.objects.value import Object, name_of

NAMESPACE = "kube-system"
SECRET_TYPE = "bootstrap.kubernetes.io/token"
PREFIX = "bootstrap-token-"
SIGNATURE_PREFIX = "jws-kubeconfig-"
_ID, _SECRET = re.compile(r"[a-z0-9]{6}"), re.compile(r"[a-z0-9]{16}")


def text_of(secret: Object, key: str) -> str:
    """A value of a Secret as text; "" if there is none that can be read."""
    try:
        return base64.b64decode((secret.get("data") or {}).get(key) or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def seconds_left(secret: Object, now: float) -> float | None:
    """Seconds until a token expires (0 or less: it has); None if it never does. An unreadable time has passed."""
    text = text_of(secret, "expiration")
    if not text:
        return None
    try:
        return parse_rfc3339(text) - now
    except ValueError:
        return 0.0


def signing_token(secret: Object, now: float) -> tuple[str, str] | None:
    """(id, secret) of a token that signs `cluster-info`; None if it is no valid one, has expired or isn't meant to."""
    token_id, token_secret = text_of(secret, "token-id"), text_of(secret, "token-secret")
    if secret.get("type") != SECRET_TYPE or not name_of(secret).startswith(PREFIX):
        return None
    if not (_ID.fullmatch(token_id) and _SECRET.fullmatch(token_secret)):
        return None
    if name_of(secret) != PREFIX + token_id or text_of(secret, "usage-bootstrap-signing") != "true":
        return None
    left = seconds_left(secret, now)
    return (token_id, token_secret) if left is None or left > 0 else None


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signature(content: str, token_id: str, token_secret: str) -> str:
    """A detached JWS (HS256, RFC 7515 appendix F): the header and the signature, with nothing between the dots."""
    header = _part(json.dumps({"alg": "HS256", "kid": token_id}, separators=(",", ":")).encode())
    signed = f"{header}.{_part(content.encode())}"
    return f"{header}..{_part(hmac.new(token_secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def signed(data: dict[str, str], tokens: dict[str, str]) -> dict[str, str]:
    """The content of `cluster-info` with a signature by each token (id: secret) and by no other."""
    kept = {key: value for key, value in data.items() if not key.startswith(SIGNATURE_PREFIX)}
    content = data.get("kubeconfig")
    if content is None:
        return data
    return {**kept, **{f"{SIGNATURE_PREFIX}{one}": signature(content, one, tokens[one]) for one in sorted(tokens)}}
