"""Bootstrap tokens: secrets of kube-system by which a machine that is to become a node proves that it may ask.

Source: https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping

from heeler.apiserver.user import User, authenticated
from heeler.base.clock import Clock, parse_rfc3339
from heeler.objects.value import Object

NAMESPACE, SECRET_TYPE, PREFIX = "kube-system", "bootstrap.kubernetes.io/token", "bootstrap-token-"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_EXTRA_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")

#: (group, plural, namespace, name) -> the object
Lookup = Callable[[str, str, str, str], Object | None]


class BootstrapTokens:
    """Users by the tokens that secrets hold at the time of asking."""

    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup, self._clock = lookup, clock

    def user(self, token: str) -> User | None:
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        number, secret_part = found.groups()
        secret = self._lookup("", "secrets", NAMESPACE, PREFIX + number)
        if secret is None or secret.get("type") != SECRET_TYPE or secret["metadata"].get("deletionTimestamp"):
            return None
        data = _texts(secret.get("data") or {})
        same = hmac.compare_digest(data.get("token-secret", "").encode(), secret_part.encode())
        if not same or data.get("token-id") != number or data.get("usage-bootstrap-authentication") != "true":
            return None
        if self._expired(data.get("expiration", "")):
            return None
        groups = [group for group in data.get("auth-extra-groups", "").split(",") if group]
        if not all(_EXTRA_GROUP.fullmatch(group) for group in groups):
            return None
        return authenticated(f"system:bootstrap:{number}", "", tuple(sorted({GROUP, *groups})))

    def _expired(self, text: str) -> bool:
        """A time that can't be read counts as over."""
        if not text:
            return False
        try:
            return self._clock.time() >= parse_rfc3339(text)
        except ValueError:
            return True


def _texts(data: Mapping[str, str]) -> dict[str, str]:
    out = {}
    for key, value in data.items():
        try:
            out[key] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):
            out[key] = ""
    return out
