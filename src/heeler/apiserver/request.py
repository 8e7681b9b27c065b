"""The way of a request, top to bottom: who may ask, then what is done. No middleware: read it as it runs.

    request info → authenticate → audit → impersonate → flow control → authorize → negotiate → the verb → encode
                                                                 └ of another server's group: handed on to it

`serve` answers HTTP, `handle` gives the result itself to a client in the same process. A refusal is raised as StatusError
anywhere on the way and answered once, here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from heeler.apiserver import paths
from heeler.apiserver.aggregation.proxy import forward
from heeler.apiserver.authenticate.user import impersonate, refusal, user_of
from heeler.apiserver.authorize.further import attributes
from heeler.apiserver.call import Call, Many, Raw, Result
from heeler.apiserver.encode import encode, encode_error
from heeler.apiserver.encode_protobuf import has_message
from heeler.apiserver.negotiate import (
    JSON,
    OBJECTS,
    PROTOBUF,
    STREAMS,
    Format,
    error_media,
    negotiate,
    route,
    stream_format,
)
from heeler.apiserver.request_info import RequestInfo, request_info
from heeler.apiserver.subresources.table import SUBRESOURCES, VIRTUAL
from heeler.apiserver.user import User
from heeler.apiserver.verbs.create import create
from heeler.apiserver.verbs.delete import delete, delete_collection
from heeler.apiserver.verbs.patch import patch
from heeler.apiserver.verbs.read import get, list_, watch
from heeler.apiserver.verbs.update import update
from heeler.objects.status import (
    StatusError,
    bad_request,
    internal_error,
    method_not_allowed,
    not_found,
    unavailable,
    unknown_path,
)
from heeler.store.store import StoreUnavailable
from heeler.wire.http.messages import Request, Response, Upgrade

if TYPE_CHECKING:
    from heeler.apiserver.server import ApiServer
    from heeler.kinds.kind import Kind

log = logging.getLogger(__name__)

#: Characters of an audit id that a client brings along.
MAX_AUDIT_ID = 64


@dataclass(slots=True)
class Context:
    """What the way has found out so far; every verb gets it."""

    server: ApiServer
    user: User
    info: RequestInfo
    kind: Kind
    api_version: str
    subresource: str

    @property
    def version(self) -> str:
        return self.info.version


VERBS: dict[str, Callable[[Call, Context], Awaitable[Result]]] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}


async def serve(request: Request, server: ApiServer) -> Response | Upgrade:
    """Answer one HTTP request."""
    call = Call(
        request.method,
        request.path,
        request.query,
        request.headers,
        request.body,
        request.oversized,
        request.peer,
        target=request.target,
    )
    call.audit_id = call.headers.get("audit-id", "")[:MAX_AUDIT_ID] or server.random.uuid()
    answer = await _answer(call, server)
    answer.headers.append(("Audit-Id", call.audit_id))
    if not any(name == "Cache-Control" for name, _ in answer.headers):
        answer.headers.append(("Cache-Control", "no-cache, private"))
    return answer


async def _answer(call: Call, server: ApiServer) -> Response | Upgrade:
    accept = call.headers.get("accept", "")
    info = request_info(call.method, call.path, call.query)
    try:
        result, format = await _recorded(call, info, accept, server)
        if format.media == PROTOBUF and isinstance(result, Many):
            await server.cache.encoded.warm(result, format)
        return encode(result, call, format, server)
    except StatusError as error:
        return encode_error(error, call, error_media(accept))
    except StoreUnavailable as error:
        return encode_error(unavailable(str(error)), call, error_media(accept))
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception as error:
        if _is_too_deep(error):
            log.warning("%s %s: the object is nested too deeply", call.method, call.path)
            return encode_error(bad_request("the object is nested too deeply"), call, error_media(accept))
        log.exception("%s %s failed", call.method, call.path)
        return encode_error(internal_error("the server has an error in itself; see its log"), call, JSON)


async def handle(call: Call, server: ApiServer) -> Result:
    """The result of a call from the same process, unencoded. Raises StatusError."""
    try:
        if server.audit is not None:
            call.audit_id = server.random.uuid()
        return (await _recorded(call, request_info(call.method, call.path, call.query), "", server))[0]
    except StoreUnavailable as error:
        raise unavailable(str(error)) from error
    except (RecursionError, orjson.JSONEncodeError) as error:
        if not _is_too_deep(error):
            raise
        raise bad_request("the object is nested too deeply") from error


def _is_too_deep(error: Exception) -> bool:
    """orjson's refusal is a plain TypeError, as a defect may raise it: only its words tell."""
    return isinstance(error, RecursionError) or (isinstance(error, TypeError) and "ecursion limit" in str(error))


async def _recorded(call: Call, info: RequestInfo, accept: str, server: ApiServer) -> tuple[Result, Format]:
    """Decide; what came of it is written down where the audit policy says so."""
    if server.audit is None:
        return await _decide(call, info, accept, server)
    from heeler.apiserver.audit import answers

    try:
        result, format = await _decide(call, info, accept, server)
    except Exception as error:
        if call.record is not None:
            answers.failed(call.record, error)
        raise
    if call.record is not None:
        result = answers.done(call.record, result, call, format, server)
    return result, format


async def _decide(call: Call, info: RequestInfo, accept: str, server: ApiServer) -> tuple[Result, Format]:
    if info.broken:
        return paths.no_request_info(call.path), Format()
    user = _known(call, info, server)
    if server.audit is not None:
        call.record = server.audit.begin(call, info, user)
    user = await impersonate(user, call, server)
    seat = server.seats.take(info.verb, user)
    try:
        asked = attributes(info)
        why = await server.authorizer.allows(user, asked)
        call.annotate("authorization.k8s.io/decision", "forbid" if why is None else "allow")
        if why is None:
            reason = server.authorizer.reason(user, asked)
            call.annotate("authorization.k8s.io/reason", reason)
            raise refusal(user, asked, reason)
        call.annotate("authorization.k8s.io/reason", why)
        remote = server.aggregator.remote_of(call.path)
        if remote is not None:
            return await forward(call, info, user, remote, server.aggregator), Format()
        if not info.is_resource:
            return await paths.answer(call, info, user, server), Format()
        context = find(info, user, server)
        if isinstance(context, Raw):
            return context, Format()
        return await _perform(call, context, accept)
    finally:
        server.seats.give_back(seat)


def _known(call: Call, info: RequestInfo, server: ApiServer) -> User:
    """Who asks. Raises 401, which is written down, too."""
    try:
        return user_of(call, server)
    except StatusError as error:
        if server.audit is not None:
            server.audit.unknown_user(call, info, error.status())
        raise


async def _perform(call: Call, context: Context, accept: str) -> tuple[Result, Format]:
    """Find what answers this verb on this resource, agree on a format, do it."""
    info, kind = context.info, context.kind
    deprecated = kind.deprecation(context.version)
    if deprecated:
        call.warn(deprecated)
    if context.subresource:
        found = SUBRESOURCES.get((kind.group, kind.plural, context.subresource)) or SUBRESOURCES.get(
            ("*", "*", context.subresource)
        )
        verbs = kind.subresources[context.subresource].verbs
        if found is None:
            if info.verb not in verbs:
                raise method_not_allowed()
            format = _format(accept, context)
            return await VERBS[info.verb](call, context), format
        action = found.get(call.method)
        if action is None or (call.method == "HEAD" and context.subresource != "proxy"):
            raise method_not_allowed()
        format = Format() if context.subresource in _OWN_FORMAT else _format(accept, context)
        if context.subresource == "log":
            route(accept, ("text/plain", *OBJECTS))
            negotiate(accept)
        return await action(call, context), format
    if call.method == "HEAD" or info.verb not in VERBS or info.verb not in kind.verbs:
        raise method_not_allowed()
    if kind.custom and info.verb in ("update", "patch") and not info.name:
        raise bad_request("name must be provided")
    if (info.verb == "create" and info.name) or (info.verb in ("update", "patch") and not info.name):
        raise method_not_allowed()
    virtual = VIRTUAL.get((kind.group, kind.plural))
    if virtual is not None:
        format = _format(accept, context)
        return await virtual[info.verb](call, context), format
    format = _format(accept, context)
    result = await VERBS[info.verb](call, context)
    return result, stream_format(format) if info.verb == "watch" else format


def _format(accept: str, context: Context) -> Format:
    """The format of an answer about a kind. Raises 406."""
    kind = context.kind
    if not kind.custom:
        route(accept, OBJECTS + STREAMS if context.info.verb in ("list", "watch") else OBJECTS)
    # the table of messages is only looked at for whom it matters
    protobuf = not kind.custom and (PROTOBUF not in accept or has_message(kind, context.version))
    return negotiate(accept, protobuf=protobuf)


#: Subresources whose answers aren't objects.
_OWN_FORMAT = ("log", "exec", "attach", "portforward", "proxy")


def find(info: RequestInfo, user: User, server: ApiServer) -> Context | Raw:
    """The kind that a path names. Raises 404 and 405."""
    kind = server.kinds.by_path(info.group, info.version, info.resource)
    if kind is None:
        if info.prefix == "apis" and (info.group not in server.groups() or server.kinds.is_custom(info.group)):
            return paths.not_found()
        raise unknown_path()
    kind = kind.view(info.version)
    namespaced = bool(info.namespace) and info.resource != "namespaces"
    if kind.namespaced and not namespaced and (info.name and not info.by_field):
        raise unknown_path()
    if kind.namespaced and not namespaced and info.verb == "create":
        raise method_not_allowed()
    if not kind.namespaced and namespaced:
        raise unknown_path()
    if info.subresource and info.subresource not in kind.subresources:
        raise not_found(kind.plural, kind.group, info.name) if kind.custom else unknown_path()
    if info.resource == "namespaces":
        info.namespace = ""
    return Context(server, user, info, kind, kind.api_version(info.version), info.subresource)
