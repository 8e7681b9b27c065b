"""Who is asking: client certificate, bearer token, or nobody. Then, perhaps, on behalf of somebody else.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from heeler.apiserver.authorize.rbac import Attributes
from heeler.apiserver.user import ANONYMOUS, AUTHENTICATED, CREDENTIAL, UNAUTHENTICATED, User, authenticated
from heeler.objects.status import StatusError, bad_request, forbidden, unauthorized

if TYPE_CHECKING:
    from heeler.apiserver.call import Call
    from heeler.apiserver.server import ApiServer


_EXTRA_SPACE = re.compile(r"\s*bearer  [^ ]+\s*$", re.IGNORECASE)


def user_of(call: Call, server: ApiServer) -> User:
    """The user of a request. Raises 401 for a token that nobody knows."""
    if call.user is not None:
        return call.user
    if call.peer.common_name:
        extra = {CREDENTIAL: (f"X509SHA256={call.peer.fingerprint}",)}
        return authenticated(call.peer.common_name, "", call.peer.organizations, extra)
    token = _bearer(call.headers.get("authorization", ""))
    if token is None:
        if _EXTRA_SPACE.match(call.headers.get("authorization", "")):
            call.warn("the provided Authorization header contains extra space before the bearer token, and is ignored")
        return ANONYMOUS
    for source in server.token_sources:
        found = source.user(token)
        if found is not None:
            return found
    raise unauthorized()


def _bearer(header: str) -> str | None:
    """The token of an Authorization header; None if there is none (other schemes don't count)."""
    parts = header.strip().split(" ")
    if len(parts) < 2 or parts[0].lower() != "bearer":
        return None
    return parts[1] if parts[1] else None


async def impersonate(user: User, call: Call, server: ApiServer) -> User:
    """The user that the Impersonate- headers ask for, if `user` may act as each part of it. Raises 400, 403."""
    headers = call.headers
    wanted = [h for h in headers if h.startswith("impersonate-")]
    if not wanted:
        return user
    name = headers.get("impersonate-user", "")
    uid = headers.get("impersonate-uid", "")
    groups = [g.strip() for g in headers.get("impersonate-group", "").split(",") if g.strip()]
    extra: dict[str, tuple[str, ...]] = {}
    for header in wanted:
        if header.startswith("impersonate-extra-"):
            key = unquote(header.removeprefix("impersonate-extra-")).lower()
            extra[key] = tuple(v.strip() for v in headers[header].split(","))
    if not name:
        if groups or uid or extra:
            shown = _go_user(uid, groups, extra)
            raise bad_request(f"requested {shown} without impersonating a user name")
        return user
    account = name.split(":") if name.startswith("system:serviceaccount:") else []
    if len(account) == 4:
        await _may(server, user, Attributes("impersonate", "", "v1", "serviceaccounts", "", account[2], account[3]))
    else:
        await _may(server, user, Attributes("impersonate", "", "v1", "users", "", "", name))
    for group in groups:
        await _may(server, user, Attributes("impersonate", "", "v1", "groups", "", "", group))
    for key, values in extra.items():
        for value in values:
            asked = Attributes("impersonate", "authentication.k8s.io", "v1", "userextras", key, "", value)
            await _may(server, user, asked)
    if uid:
        await _may(server, user, Attributes("impersonate", "authentication.k8s.io", "v1", "uids", "", "", uid))
    found = _impersonated(name, uid, groups, extra, account)
    if call.record is not None:
        call.record.impersonated(found)
    return found


def _impersonated(
    name: str, uid: str, groups: list[str], extra: dict[str, tuple[str, ...]], account: list[str]
) -> User:
    if not groups and len(account) == 4:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{account[2]}"]
    if name == ANONYMOUS.name:
        if UNAUTHENTICATED not in groups:
            groups = [*groups, UNAUTHENTICATED]
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups = [*groups, AUTHENTICATED]
    return User(name, uid, tuple(groups), extra)


async def _may(server: ApiServer, user: User, asked: Attributes) -> None:
    if await server.authorizer.allows(user, asked) is None:
        raise refusal(user, asked, server.authorizer.reason(user, asked))


def refusal(user: User, asked: Attributes, reason: str = "") -> StatusError:
    """The 403 that says what the user may not do."""
    because = f": {reason}" if reason else ""
    if not asked.is_resource:
        text = f'forbidden: User "{user.name}" cannot {asked.verb} path "{asked.path}"{because}'
        return StatusError(403, "Forbidden", text, {})
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    why = (
        f'User "{user.name}" cannot {asked.verb} resource "{asked.full_resource}" in API group "{asked.group}" {where}'
        f"{because}"
    )
    return forbidden(asked.resource, asked.group, asked.name, why)


def _go_user(uid: str, groups: list[str], extra: dict[str, tuple[str, ...]]) -> str:
    """A user as Go prints it, which is what upstream's message shows."""
    quoted = ", ".join(f'"{g}"' for g in groups)
    shown_groups = f"[]string{{{quoted}}}" if groups else "[]string(nil)"
    shown_extra = "map[string][]string(nil)"
    if extra:
        parts = [f'"{k}":[]string{{{", ".join(chr(34) + v + chr(34) for v in vs)}}}' for k, vs in sorted(extra.items())]
        shown_extra = f"map[string][]string{{{', '.join(parts)}}}"
    return f'&user.DefaultInfo{{Name:"", UID:"{uid}", Groups:{shown_groups}, Extra:{shown_extra}}}'
