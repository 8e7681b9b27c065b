"""One request's entries in the audit log: what is known of it at each stage, as an Event of audit.k8s.io/v1.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/#audit-k8s-io-v1-Event and events that
kube-apiserver wrote.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from heeler.apiserver.audit.policy import LEVELS, NOTHING, Decision, Policy
from heeler.apiserver.request_info import RequestInfo
from heeler.apiserver.user import User
from heeler.base.clock import Clock, rfc3339_micro
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.call import Call
    from heeler.kinds.kind import Kind

log = logging.getLogger(__name__)

#: Annotations of one request are bounded: policies and webhooks write them.
MAX_ANNOTATIONS = 256
#: Kinds that hold a token as text.
_TOKENS = ("TokenRequest", "TokenReview")


#: Subresources whose answers may go on for long.
_LONG = ("attach", "exec", "log", "portforward", "proxy")


class Audit:
    """What is written down: the policy, and where to."""

    def __init__(self, policy: Policy, write: Callable[[Object], None], clock: Clock) -> None:
        self._policy, self._write, self._clock = policy, write, clock

    def begin(self, call: Call, info: RequestInfo, user: User) -> Record | None:
        """The request's record, None if nothing is written of it."""
        decision = self._policy.decide(user, info)
        if decision.level == "None":
            return None
        record = Record(self, decision, call, info, user)
        record.stage("RequestReceived")
        return record

    def unknown_user(self, call: Call, info: RequestInfo, status: Object) -> None:
        """A request whose user could not be found out."""
        decision = self._policy.decide(User("", "", ()), info)
        if decision.level != NOTHING.level:
            record = Record(self, decision, call, info, None)
            record.answered(status["code"], status)
            record.stage("ResponseStarted")

    def write(self, event: Object) -> None:
        """An event that can't be written is told of; the request goes on, as upstream's does."""
        try:
            self._write(event)
        except OSError as error:
            log.error("an audit event could not be written: %s", error)

    def now(self) -> str:
        return rfc3339_micro(self._clock.time())


class Record:
    """Gathers what is known of one request, and writes it at each stage."""

    def __init__(self, audit: Audit, decision: Decision, call: Call, info: RequestInfo, user: User | None) -> None:
        self._audit, self._decision = audit, decision
        self._depth = LEVELS.index(decision.level)
        self._annotations: dict[str, str] = {}
        self._long = info.verb in ("watch", "proxy") or info.subresource in _LONG
        self._begun = False
        self._event: Object = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": decision.level,
            "auditID": call.audit_id,
            "stage": "",
            "requestURI": call.target or call.path,
            "verb": info.verb,
            "user": _user(user),
        }
        if addresses := _addresses(call):
            self._event["sourceIPs"] = addresses
        if agent := call.headers.get("user-agent", ""):
            self._event["userAgent"] = agent
        if info.is_resource:
            self._event["objectRef"] = _reference(info)
        self._event["requestReceivedTimestamp"] = audit.now()

    @property
    def wants_request(self) -> bool:
        return self._depth >= LEVELS.index("Request")

    @property
    def wants_response(self) -> bool:
        return self._depth >= LEVELS.index("RequestResponse")

    def impersonated(self, user: User) -> None:
        self._event["impersonatedUser"] = _user(user)

    def annotate(self, key: str, value: str) -> None:
        """The first value of a key stays."""
        if len(self._annotations) < MAX_ANNOTATIONS:
            self._annotations.setdefault(key, value)

    def request(self, obj: Object, kind: Kind | None = None, version: str = "") -> None:
        """The object that was sent, decoded. `kind`: whose defaults are shown with it."""
        metadata = obj.get("metadata") or {}
        reference = self._event.get("objectRef", {})
        for key in ("name", "namespace", "uid", "resourceVersion"):
            if not reference.get(key) and metadata.get(key):
                reference[key] = metadata[key]
        if self.wants_request:
            shown = orjson.loads(orjson.dumps(obj))
            if kind is not None:
                kind.default(shown, version)
            self._event["requestObject"] = self._shown(shown)

    def body(self, value: Any) -> None:
        """What was sent that is no object: a patch, a deletion's options."""
        if self.wants_request:
            self._event["requestObject"] = value

    def answered(self, status: int, answer: Object | None) -> None:
        """The answer's status; `answer`: its object, where the level asks for it and there is one, and every Status."""
        shown: Object = {"metadata": {}}
        if answer is not None and answer.get("kind") == "Status":
            shown |= {key: answer[key] for key in ("status", "message", "reason", "details") if key in answer}
        self._event["responseStatus"] = {**shown, "code": status}
        if answer is not None and self.wants_response:
            self._event["responseObject"] = self._shown(answer)

    def complete(self, stage: str = "ResponseComplete") -> None:
        """The answer is given. Of a request that may go on for long it is told apart when that began."""
        if self._long:
            self.begun()
        self.stage(stage)

    def begun(self) -> None:
        """An answer that goes on for long begins."""
        if not self._begun:
            self._begun = True
            self.stage("ResponseStarted")

    def stage(self, name: str) -> None:
        if name in self._decision.omit_stages:
            return
        event = {**self._event, "stage": name, "stageTimestamp": self._audit.now()}
        if self._annotations:
            event["annotations"] = dict(self._annotations)
        self._audit.write(event)

    def _shown(self, obj: Object) -> Object:
        """The object as the log may hold it: perhaps without managedFields, never with a token that was made."""
        if self._decision.omit_managed_fields:
            obj = _without_managers(obj)
            if isinstance(obj.get("items"), list):
                obj = {**obj, "items": [_without_managers(item) for item in obj["items"]]}
            if obj.get("kind") == "Table":
                rows = [{**row, "object": _without_managers(row.get("object") or {})} for row in obj.get("rows") or ()]
                obj = {**obj, "rows": rows}
        if obj.get("kind") in _TOKENS:
            for part in ("spec", "status"):
                if (obj.get(part) or {}).get("token"):
                    obj = {**obj, part: {**obj[part], "token": ""}}
        return obj


def _without_managers(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {k: v for k, v in metadata.items() if k != "managedFields"}}


def _user(user: User | None) -> Object:
    if user is None:
        return {}
    out: Object = {"username": user.name}
    if user.uid:
        out["uid"] = user.uid
    if user.groups:
        out["groups"] = list(user.groups)
    if user.extra:
        out["extra"] = {key: list(values) for key, values in user.extra.items()}
    return out


def _addresses(call: Call) -> list[str]:
    """Whoever the request says that it comes from, then whom it really comes from."""
    named = [part.strip() for part in call.headers.get("x-forwarded-for", "").split(",")]
    named.append(call.headers.get("x-real-ip", "").strip())
    own = call.peer.address.rpartition(":")[0].strip("[]")
    return list(dict.fromkeys(address for address in (*named, own) if address))


def _reference(info: RequestInfo) -> Object:
    out: Object = {"resource": info.resource}
    for key, value in (("namespace", info.namespace), ("name", info.name)):
        if value:
            out[key] = value
    if info.group:
        out["apiGroup"] = info.group
    out["apiVersion"] = info.version
    if info.subresource:
        out["subresource"] = info.subresource
    return out
