"""The operations of OpenAPI documents, made from what kinds serve: paths, parameters, bodies and answers.

A table says what each verb's operation looks like; v2 and v3 are two ways to write the same. Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
and the documents that kube-apiserver serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heeler.apiserver.openapi_schemas import META, references
from heeler.apiserver.verbs.delete import ANSWERED_WITH_OBJECT
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.kinds.kind import Kind, Subresource

_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_STREAM = ";stream=watch"
#: A query parameter's type where it isn't a string.
_TYPES = {
    **dict.fromkeys(
        ("gracePeriodSeconds", "limit", "timeoutSeconds", "limitBytes", "sinceSeconds", "tailLines"), "integer"
    ),
    **dict.fromkeys(
        (
            *("allowWatchBookmarks", "sendInitialEvents", "watch", "force", "orphanDependents"),
            *("ignoreStoreReadErrorWithClusterBreakingPotential", "stdin", "stdout", "stderr", "tty"),
            *("follow", "previous", "timestamps", "insecureSkipTLSVerifyBackend"),
        ),
        "boolean",
    ),
    "ports": "integer",
}
_SELECTION = ("continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch")
_LIST = ("allowWatchBookmarks", *_SELECTION, "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch")
_WRITE = ("dryRun", "fieldManager", "fieldValidation")
_DELETE = (
    *("dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential"),
    *("orphanDependents", "propagationPolicy"),
)
_DELETE_MANY = (*_DELETE, *_SELECTION, "sendInitialEvents", "shardSelector", "timeoutSeconds")
_DESCRIPTIONS = {200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized"}
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class _Verb:
    """One kind of operation. `text` stands before the object's kind in its description."""

    method: str
    action: str
    #: What its operationId begins with.
    id: str
    text: str
    query: tuple[str, ...] = ()
    statuses: tuple[int, ...] = (200,)


_VERBS = {
    "list": _Verb("get", "list", "list", "list or watch objects of kind", _LIST),
    "create": _Verb("post", "post", "create", "create", _WRITE, (200, 201, 202)),
    "deletecollection": _Verb("delete", "deletecollection", "delete", "delete collection of", _DELETE_MANY),
    "get": _Verb("get", "get", "read", "read the specified"),
    "update": _Verb("put", "put", "replace", "replace the specified", _WRITE, (200, 201)),
    "patch": _Verb("patch", "patch", "patch", "partially update the specified", (*_WRITE, "force"), (200, 201)),
    "delete": _Verb("delete", "delete", "delete", "delete", _DELETE, (200, 202)),
}
#: The documents of definitions tell of these in their own way.
_OF_CUSTOM = {
    "get": _Verb("get", "get", "read", "read the specified", ("resourceVersion",)),
    "patch": _Verb("patch", "patch", "patch", "partially update the specified", (*_WRITE, "force")),
    "deletecollection": _Verb("delete", "deletecollection", "delete", "delete collection of", _LIST),
}
_COLLECTION, _ITEM = ("list", "create", "deletecollection"), ("get", "update", "patch", "delete")

_METHODS_OF_PROXIES = ("get", "put", "post", "delete", "options", "head", "patch")
#: Subresources that connect: which methods, what they may be asked, whether a path follows.
_CONNECTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "exec": (("get", "post"), ("command", "container", "stderr", "stdin", "stdout", "tty")),
    "attach": (("get", "post"), ("container", "stderr", "stdin", "stdout", "tty")),
    "portforward": (("get", "post"), ("ports",)),
    "proxy": (_METHODS_OF_PROXIES, ("path",)),
}
_LOG = (
    *("container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "previous", "sinceSeconds", "stream"),
    *("tailLines", "timestamps"),
)


def paths(kind: Kind, version: str, *, three: bool) -> Object:
    """All paths of a kind in a version."""
    return _Paths(kind, version, three).all()


def resources(group: str, version: str, *, three: bool) -> Object:
    """The path that lists a group version's resources."""
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    operation: Object = {
        "tags": [_tag(group, version)],
        "description": "get available resources",
        "operationId": f"get{_prefix(group, version)}APIResources",
    }
    media = (_JSON, _YAML, _PROTOBUF)
    if not three:
        operation["consumes"] = list(media)
    return {f"{root}/": {"get": _written(operation, three, media, f"{META}.APIResourceList", (200,))}}


class _Paths:
    def __init__(self, kind: Kind, version: str, three: bool) -> None:
        self._kind, self._version, self._three = kind, version, three
        self._name = kind.type_name(version)
        self._media: tuple[str, ...] = (_JSON, _YAML) if kind.custom else (_JSON, _YAML, _PROTOBUF)
        #: media types of bodies
        self._taken = self._media if kind.custom else ("*/*",)
        root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
        inside = "/namespaces/{namespace}" if kind.namespaced else ""
        self._root, self._inside = root, inside
        self._scope = "Namespaced" if kind.namespaced else ""

    def all(self) -> Object:
        kind, inside = self._kind, f"{self._inside}/{self._kind.plural}"
        out = self._path(inside, self._operations(_COLLECTION))
        if kind.namespaced and "list" in kind.verbs:
            out |= self._path(f"/{kind.plural}", [self._list_everywhere()])
        out |= self._path(inside + "/{name}", self._operations(_ITEM))
        for sub in kind.subresources.values():
            out |= self._subresource(inside + "/{name}", sub)
        if "watch" in kind.verbs and not kind.custom:
            out |= self._watches(inside)
        return out

    def _operations(self, verbs: Iterable[str]) -> list[tuple[str, Object]]:
        return [self._operation(verb) for verb in verbs if verb in self._kind.verbs]

    def _operation(self, verb: str) -> tuple[str, Object]:
        form = _VERBS[verb]
        collection = "Collection" if verb == "deletecollection" else ""
        operation = self._head(form.action, f"{form.id}{self._prefix}{collection}{self._scope}{self._kind.kind}")
        operation["description"] = f"{form.text} {_article(self._kind.kind, verb)}{self._kind.kind}"
        return form.method, self._filled(operation, form, verb, self._name)

    def _filled(self, operation: Object, form: _Verb, verb: str, name: str) -> Object:
        """With parameters, body and answers. `name`: what is written and answered."""
        if self._kind.custom:
            form = _OF_CUSTOM.get(verb, form)
        three, answered, media = self._three, name, self._media
        if verb in ("create", "update"):
            _give(operation, three, self._taken, name, required=True)
        elif verb == "patch":
            strategic = () if self._kind.custom else (_STRATEGIC,)
            _give(operation, three, (*_PATCHES, *strategic), f"{META}.Patch", required=True)
        elif verb == "deletecollection" and self._kind.custom:
            answered = f"{META}.Status"
        elif verb in ("delete", "deletecollection"):
            _give(operation, three, self._taken, f"{META}.DeleteOptions", required=False)
            if verb == "deletecollection" or (self._kind.group, self._kind.plural) not in ANSWERED_WITH_OBJECT:
                answered = f"{META}.Status"
        elif verb == "list":
            answered, media = f"{name}List", media if self._kind.custom else _with_streams(media)
        operation["parameters"] = operation.get("parameters", []) + _queries(form.query, three)
        if self._kind.custom and not three:
            operation["consumes"] = operation.get("consumes") or list(self._media)
        return _written(operation, three, media, answered, form.statuses)

    @property
    def _prefix(self) -> str:
        return _prefix(self._kind.group, self._version)

    def _head(self, action: str, id: str, mark: tuple[str, str, str] | None = None) -> Object:
        group, version, kind = mark or (self._kind.group, self._version, self._kind.kind)
        return {
            "tags": [_tag(self._kind.group, self._version)],
            "operationId": id,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
        }

    def _list_everywhere(self) -> tuple[str, Object]:
        kind = self._kind.kind
        operation = self._head("list", f"list{self._prefix}{kind}ForAllNamespaces")
        operation["description"] = f"list or watch objects of kind {kind}"
        return "get", self._filled(operation, _VERBS["list"], "list", self._name)

    def _watches(self, inside: str) -> Object:
        """The old way to watch, with a path of its own."""
        kind, three, media = self._kind.kind, self._three, _with_streams(self._media)

        def watch(action: str, id: str) -> list[tuple[str, Object]]:
            operation = self._head(action, id)
            operation["description"] = (
                "watch changes. deprecated: use the 'watch' parameter with a list operation instead"
            )
            operation["parameters"] = _queries(_LIST, three)
            return [("get", _written(operation, three, media, f"{META}.WatchEvent", (200,)))]

        out: Object = {}
        if "list" in self._kind.verbs:
            out |= self._path("/watch" + inside, watch("watchlist", f"watch{self._prefix}{self._scope}{kind}List"))
            if self._scope:
                everywhere = f"watch{self._prefix}{kind}ListForAllNamespaces"
                out |= self._path(f"/watch/{self._kind.plural}", watch("watchlist", everywhere))
        single = watch("watch", f"watch{self._prefix}{self._scope}{kind}")
        return out | self._path("/watch" + inside + "/{name}", single)

    def _subresource(self, path: str, sub: Subresource) -> Object:
        """A subresource's operations: it is written as the object is, made (an eviction), read (a log) or connected to."""
        owner = self._kind
        title = sub.name[:1].upper() + sub.name[1:]
        if sub.name in _CONNECTIONS:
            return self._connection(path, sub, title)
        mark = (sub.group, sub.version, sub.kind) if sub.foreign else (owner.group, self._version, sub.kind)
        if owner.custom:
            mark = (owner.group, self._version, owner.kind)
        name = sub.type_name or self._name
        if sub.kind == owner.kind and not sub.foreign:
            name = self._name
        found = []
        for verb in (v for v in ("get", "create", "update", "patch") if v in sub.verbs):
            form = _VERBS[verb]
            operation = self._head(form.action, f"{form.id}{self._prefix}{self._scope}{owner.kind}{title}", mark)
            operation["description"] = f"{form.text} {sub.name} of the specified {owner.kind}".replace(
                "the specified " + sub.name, sub.name
            ).replace("create " + sub.name, f"create {sub.name}")
            if sub.name == "log":
                operation["parameters"] = _queries(_LOG, self._three)
                media = (*self._media, "text/plain")
                found.append((form.method, _written(operation, self._three, media, "", (200,))))
            else:
                found.append((form.method, self._filled(operation, form, verb, name)))
        return self._path(f"{path}/{sub.name}", found)

    def _connection(self, path: str, sub: Subresource, title: str) -> Object:
        methods, query = _CONNECTIONS[sub.name]
        kind = self._kind.kind
        mark = (sub.group or self._kind.group, sub.version or self._version, sub.kind)
        out: Object = {}
        rests = (("", ""), ("/{path}", "WithPath")) if sub.name == "proxy" else (("", ""),)
        for rest, suffix in rests:
            found = []
            for method in methods:
                id = f"connect{self._prefix}{method.title()}{self._scope}{kind}{title}{suffix}"
                operation = self._head("connect", id, mark)
                operation["description"] = f"connect {method.upper()} requests to {sub.name} of {kind}"
                operation["parameters"] = _queries(query, self._three)
                found.append((method, _written(operation, self._three, ("*/*",), "", (200,))))
            out |= self._path(f"{path}/{sub.name}{rest}", found, pretty=False)
        return out

    def _path(self, path: str, operations: Sequence[tuple[str, Object]], *, pretty: bool = True) -> Object:
        """A path with its operations. What all of them take stands beside them."""
        if not operations:
            return {}
        shared = _in_path(path, self._three) + (_queries(("pretty",), self._three) if pretty else [])
        lists = [[p for p in op.pop("parameters", []) if p["in"] == "query"] for _, op in operations]
        bodies = [op.pop("bodies", []) for _, op in operations]
        common = [p for p in lists[0] if all(p in other for other in lists[1:])]
        for (_, operation), own, body in zip(operations, lists, bodies):
            rest = [*body, *(p for p in own if p not in common)]
            if rest:
                operation["parameters"] = sorted(rest, key=lambda p: (p["in"] != "body", p["name"]))
        item: Object = dict(operations)
        shared += common
        item["parameters"] = sorted(shared, key=lambda p: p["name"])
        return {self._root + path: item}


def _article(kind: str, verb: str) -> str:
    if verb in ("create", "delete"):
        return "an " if kind[0] in "AEIOU" else "a "
    return ""


@dataclass(frozen=True, slots=True)
class _General:
    """A path that is about no kind."""

    path: str
    tag: str
    id: str
    description: str
    #: The type that is answered; "" if it is text.
    answered: str = ""
    media: tuple[str, ...] = (_JSON,)
    #: What v2 says is taken; None: nothing of it.
    taken: tuple[str, ...] | None = None


_OF_DISCOVERY = (_JSON, _YAML, _PROTOBUF)
_GENERAL = {
    "api": _General(
        "/api/", "core", "getCoreAPIVersions", "get available API versions", f"{META}.APIVersions", _OF_DISCOVERY
    ),
    "apis": _General(
        "/apis/", "apis", "getAPIVersions", "get available API versions", f"{META}.APIGroupList", _OF_DISCOVERY
    ),
    "version": _General(
        "/version/",
        "version",
        "getCodeVersion",
        "get the version information for this server",
        "io.k8s.apimachinery.pkg.version.Info",
        taken=(_JSON,),
    ),
    ".well-known/openid-configuration": _General(
        "/.well-known/openid-configuration/",
        "WellKnown",
        "getServiceAccountIssuerOpenIDConfiguration",
        "get the OpenID configuration of the issuer of service accounts' tokens",
    ),
    "openid/v1/jwks": _General(
        "/openid/v1/jwks/",
        "openid",
        "getServiceAccountIssuerOpenIDKeyset",
        "get the public keys that service accounts' tokens are verified with",
        media=("application/jwk-set+json",),
    ),
}


def general_keys(groups: Iterable[str]) -> list[str]:
    """The documents that are about no group's version, of a server that has these built-in groups."""
    return [*_GENERAL, *(f"apis/{group}" for group in groups if group)]


def general(key: str, *, three: bool) -> Object:
    """The paths of such a document (`version`, `apis/apps`). Raises KeyError."""
    form = _GENERAL.get(key)
    if form is None:
        group = key.removeprefix("apis/")
        id, text = f"get{_camel(_words(group))}APIGroup", "get information of a group"
        form = _General(f"/apis/{group}/", _tag_of_group(group), id, text, f"{META}.APIGroup", _OF_DISCOVERY)
    operation: Object = {"tags": [form.tag], "description": form.description, "operationId": form.id}
    taken = form.taken or (form.media if form.media == _OF_DISCOVERY else None)
    if not three and taken:
        operation["consumes"] = list(taken)
    written = _written(operation, three, form.media, form.answered, (200,))
    if not three and not taken:
        del written["consumes"]
    return {form.path: {"get": written}}


def _prefix(group: str, version: str) -> str:
    """What an operationId says of the group version: `RbacAuthorizationV1`."""
    return _camel((*_words(group), version))


def _tag(group: str, version: str) -> str:
    return f"{_tag_of_group(group)}_{version}"


def _tag_of_group(group: str) -> str:
    first, *rest = _words(group)
    return first + _camel(rest)


def _camel(words: Iterable[str]) -> str:
    return "".join(word[:1].upper() + word[1:] for word in words)


def _words(group: str) -> list[str]:
    return (group.removesuffix(".k8s.io") or "core").split(".")


def _with_streams(media: tuple[str, ...]) -> tuple[str, ...]:
    return (*media, *(name + _STREAM for name in media if name != _YAML))


def _queries(names: Iterable[str], three: bool) -> list[Object]:
    out = []
    for name in names:
        type: Object = {"type": _TYPES.get(name, "string"), "uniqueItems": True}
        out.append({"name": name, "in": "query", **({"schema": type} if three else type)})
    return out


def _in_path(path: str, three: bool) -> list[Object]:
    out = []
    for name in ("name", "namespace", "path"):
        if "{" + name + "}" in path:
            type: Object = {"type": "string", "uniqueItems": True}
            out.append({"name": name, "in": "path", "required": True, **({"schema": type} if three else type)})
    return out


def _give(operation: Object, three: bool, media: Sequence[str], name: str, *, required: bool) -> None:
    """What an operation is given: a body in v3, a parameter and media types in v2."""
    schema = references(name, three=three)
    if three:
        body: Object = {"content": {form: {"schema": schema} for form in media}}
        operation["requestBody"] = {**body, "required": True} if required else body
        return
    operation["consumes"] = list(media)
    body = {"name": "body", "in": "body", "schema": schema}
    operation["bodies"] = [{**body, "required": True} if required else body]


def _written(operation: Object, three: bool, media: Sequence[str], name: str, statuses: Sequence[int]) -> Object:
    """The operation with its answers; they are text if they have no type's `name`."""
    schema = references(name, three=three) if name else {"type": "string"}
    answers: Object = {}
    for status in statuses:
        answers[str(status)] = {"description": _DESCRIPTIONS[status]}
        answers[str(status)] |= (
            {"content": {form: {"schema": schema} for form in media}} if three else {"schema": schema}
        )
    answers["401"] = {"description": _DESCRIPTIONS[401]}
    out = {**operation, "responses": answers}
    if not three:
        out |= {"schemes": ["https"], "produces": list(media)}
        out.setdefault("consumes", ["*/*"])
    return out
