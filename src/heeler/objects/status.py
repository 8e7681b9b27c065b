"""Errors as Kubernetes answers them: `StatusError` carries a `v1.Status`, and one function per kind of refusal.

Source: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heeler.objects.faults import Fault
from heeler.objects.value import Object


class StatusError(Exception):
    """A refusal: HTTP status `code`, machine's `reason`, person's `message`, optional `details`.

    `headers` are sent with the answer (Retry-After, WWW-Authenticate).
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Object | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details
        self.headers = headers
        #: of the Status object: a list that expired says how to go on.
        self.metadata: Object = {}

    def status(self) -> Object:
        """The `v1.Status` object."""
        out: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        if self.message:
            out["message"] = self.message
        if self.reason:
            out["reason"] = self.reason
        if self.details is not None:
            out["details"] = self.details
        out["code"] = self.code
        return out

    @classmethod
    def from_status(cls, status: Object, code: int) -> StatusError:
        """The error that a server's Status object tells of."""
        return cls(
            int(status.get("code") or code),
            str(status.get("reason", "")),
            str(status.get("message", "")),
            status.get("details"),
        )


def qualified(resource: str, group: str) -> str:
    """`deployments.apps`, or `pods` for the core group."""
    return f"{resource}.{group}" if group else resource


def _details(resource: str, group: str, name: str, **more: Any) -> Object:
    out: Object = {}
    if name:
        out["name"] = name
    if group:
        out["group"] = group
    if resource:
        out["kind"] = resource
    out.update(more)
    return out


def not_found(resource: str, group: str, name: str) -> StatusError:
    text = f'{qualified(resource, group)} "{name}" not found'
    return StatusError(404, "NotFound", text, _details(resource, group, name))


def already_exists(resource: str, group: str, name: str) -> StatusError:
    text = f'{qualified(resource, group)} "{name}" already exists'
    return StatusError(409, "AlreadyExists", text, _details(resource, group, name))


def conflict(resource: str, group: str, name: str, why: str) -> StatusError:
    text = f'Operation cannot be fulfilled on {qualified(resource, group)} "{name}": {why}'
    return StatusError(409, "Conflict", text, _details(resource, group, name))


def modified(resource: str, group: str, name: str) -> StatusError:
    """The compare-and-swap failed: somebody else wrote in between."""
    return conflict(
        resource,
        group,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def invalid(kind: str, group: str, name: str, faults: Sequence[Fault]) -> StatusError:
    """422 with a cause for each fault. Several faults stand in brackets, and none is named twice."""
    texts = list(dict.fromkeys(f"{f.field}: {f.message}" if f.field else f.message for f in faults))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    message = f'{qualified(kind, group)} "{name}" is invalid' + (f": {joined}" if texts else "")
    details = _details(kind, group, name)
    if faults:
        details["causes"] = [
            {"reason": f.reason, "message": f.message, **({"field": f.field} if f.field else {})} for f in faults
        ]
    return StatusError(422, "Invalid", message, details)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: str, group: str, name: str, why: str) -> StatusError:
    """403 of a request on a resource: `pods "x" is forbidden: …`."""
    if resource and name:
        text = f'{qualified(resource, group)} "{name}" is forbidden: {why}'
    elif resource:
        text = f"{qualified(resource, group)} is forbidden: {why}"
    else:
        text = f"forbidden: {why}"
    return StatusError(403, "Forbidden", text, _details(resource, group, name))


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def unknown_path() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def expired(message: str) -> StatusError:
    """410: the wanted revision is compacted away."""
    return StatusError(410, "Expired", message)


def too_large(message: str) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(message: str) -> StatusError:
    return StatusError(415, "UnsupportedMediaType", message)


def not_acceptable(message: str) -> StatusError:
    return StatusError(406, "NotAcceptable", message, {})


def too_many_requests(message: str, seconds: int, details: Object | None = None) -> StatusError:
    """429; the client should come again after so many seconds."""
    return StatusError(429, "TooManyRequests", message, details, (("retry-after", str(seconds)),))


def timeout(message: str, seconds: int = 0) -> StatusError:
    return StatusError(504, "Timeout", message, {"retryAfterSeconds": seconds} if seconds else {})


def unavailable(message: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", message)


def internal_error(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def not_implemented(what: str) -> StatusError:
    """501: known to Kubernetes, not yet to Heeler."""
    return StatusError(501, "NotImplemented", f"{what} is not implemented in this version of Heeler", {})
