"""Tokens that don't expire, kept in Secrets of type `kubernetes.io/service-account-token`: what they claim. Pure.

https://kubernetes.io/docs/concepts/security/service-accounts/#get-a-token (long-lived tokens; TokenRequest is better)
"""

from __future__ import annotations

from typing import NamedTuple

from heeler.objects.value import Object, meta, name_of

ISSUER = "kubernetes/serviceaccount"
SECRET_TYPE = "kubernetes.io/service-account-token"
NAME_ANNOTATION = "kubernetes.io/service-account.name"
UID_ANNOTATION = "kubernetes.io/service-account.uid"
#: Labels of such Secrets: the day of their last use, the day since which they are good for nothing (YYYY-MM-DD, UTC).
LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
#: The ConfigMap of kube-system and its key that say since when uses have been noted.
TRACKING, TRACKED_SINCE = "kube-apiserver-legacy-service-account-token-tracking", "since"
_PREFIX = "kubernetes.io/serviceaccount/"


class Claims(NamedTuple):
    """Whose token it is, and the Secret that it stands and falls with."""

    namespace: str
    secret: str
    account: str
    uid: str


def claims_of(account: Object, secret: Object) -> Object:
    """What the token of a Secret says."""
    namespace = account["metadata"]["namespace"]
    return {
        "iss": ISSUER,
        f"{_PREFIX}namespace": namespace,
        f"{_PREFIX}secret.name": name_of(secret),
        f"{_PREFIX}service-account.name": name_of(account),
        f"{_PREFIX}service-account.uid": account["metadata"]["uid"],
        "sub": f"system:serviceaccount:{namespace}:{name_of(account)}",
    }


def read(claims: Object) -> Claims:
    keys = ("namespace", "secret.name", "service-account.name", "service-account.uid")
    return Claims(*(str(claims.get(_PREFIX + key) or "") for key in keys))


def account_of(secret: Object) -> str:
    """The service account that a Secret wants a token of; "" if it wants none."""
    if secret.get("type") != SECRET_TYPE:
        return ""
    return str((meta(secret).get("annotations") or {}).get(NAME_ANNOTATION) or "")


def is_for(secret: Object, account: Object) -> bool:
    """Is the Secret this very account's (and not that of an earlier one of the name)?"""
    uid = (meta(secret).get("annotations") or {}).get(UID_ANNOTATION)
    return account_of(secret) == name_of(account) and uid in (None, "", account["metadata"]["uid"])
