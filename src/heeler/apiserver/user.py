"""Who asks: name, uid, groups and extra, as authentication found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
#: What of a user's extra says which certificate or token it was.
CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", "", (UNAUTHENTICATED,))


def authenticated(
    name: str, uid: str = "", groups: tuple[str, ...] = (), extra: Mapping[str, tuple[str, ...]] | None = None
) -> User:
    """A user whom somebody vouched for: also a member of system:authenticated."""
    if AUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(name, uid, groups, extra or {})


def service_account(namespace: str, name: str, uid: str = "") -> User:
    """The user that a service account is."""
    return authenticated(
        f"system:serviceaccount:{namespace}:{name}",
        uid,
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
    )
