"""A second right that a request turns out to need, after the one that its method and path say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heeler.apiserver.authenticate.user import refusal
from heeler.apiserver.authorize.rbac import Attributes

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.apiserver.request_info import RequestInfo


def attributes(info: RequestInfo) -> Attributes:
    """What authorisation is asked of a request."""
    if not info.is_resource:
        return Attributes(info.verb, path=info.path)
    parts = (info.group, info.version, info.resource, info.subresource, info.namespace, info.name)
    return Attributes(info.verb, *parts, fields=info.fields, labels=info.labels)


async def authorize(context: Context, verb: str) -> None:
    """May the user do this to what the request names, too? Raises 403."""
    asked, authorizer = replace(attributes(context.info), verb=verb), context.server.authorizer
    if await authorizer.allows(context.user, asked) is None:
        raise refusal(context.user, asked, authorizer.reason(context.user, asked))
