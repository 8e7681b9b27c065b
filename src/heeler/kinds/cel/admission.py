"""Environments of expressions about requests (match conditions, policies) and about devices, and their checks.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ (variables of expressions)
and https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-claim-v1/ (CELDeviceSelector).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from heeler.kinds.cel import costs
from heeler.kinds.cel.checked import ANY, Call, Type, walk
from heeler.kinds.cel.estimate import SIZE, Estimate
from heeler.kinds.cel.expressions import CompileError, Environment, Expression
from heeler.kinds.cel.rights import Authorizer, ResourceCheck
from heeler.kinds.cel.structures import MESSAGE, Types
from heeler.objects.faults import Fault, forbidden, invalid
from heeler.objects.value import Object

_TEXT: Object = {"type": "string"}
_TEXTS: Object = {"type": "array", "items": _TEXT}
_NAMED: Object = {"type": "object", "additionalProperties": _TEXT}
_ANY: Object = {"x-kubernetes-int-or-string": True}


def _object(**fields: Object) -> Object:
    return {"type": "object", "properties": fields}


_KIND = _object(group=_TEXT, version=_TEXT, kind=_TEXT)
_RESOURCE = _object(group=_TEXT, version=_TEXT, resource=_TEXT)
#: An AdmissionRequest, as expressions see it.
REQUEST = _object(
    kind=_KIND,
    resource=_RESOURCE,
    subResource=_TEXT,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=_TEXT,
    name=_TEXT,
    namespace=_TEXT,
    operation=_TEXT,
    userInfo=_object(
        username=_TEXT, uid=_TEXT, groups=_TEXTS, extra={"type": "object", "additionalProperties": _TEXTS}
    ),
    dryRun={"type": "boolean"},
    options=_ANY,
)
_TIME: Object = {"type": "string", "format": "date-time"}
#: The namespace of the request's object.
NAMESPACE = _object(
    metadata=_object(
        name=_TEXT,
        generateName=_TEXT,
        namespace=_TEXT,
        labels=_NAMED,
        annotations=_NAMED,
        UID=_TEXT,
        creationTimestamp=_TIME,
        deletionGracePeriodSeconds={"type": "integer"},
        deletionTimestamp=_TIME,
        generation={"type": "integer"},
        resourceVersion=_TEXT,
        finalizers=_TEXTS,
    ),
    spec=_object(finalizers=_TEXTS),
    status=_object(phase=_TEXT),
)


def _by_name(name_size: int, value: Object) -> Object:
    """What a device has of values, by name: so many at the most."""
    names = {"type": "string", SIZE: name_size}
    return {"type": "object", "maxProperties": 32, "propertyNames": names, "additionalProperties": value}


#: A device of dynamic resource allocation, with the sizes that its parts may have.
DEVICE: Object = {
    MESSAGE: "DRADevice",
    **_object(
        driver={"type": "string", SIZE: 63},
        attributes=_by_name(63, _by_name(32, {**_ANY, SIZE: 64})),
        capacity=_by_name(63, _by_name(32, _ANY)),
        allowMultipleAllocations={"type": "boolean", SIZE: 1},
    ),
}
#: Types of what maps of a device hold, which messages can't say.
_HELD = {"attributes": ANY, "capacity": "kubernetes.Quantity"}
_HAS_MAP = re.compile(r"\bhas\s*\(\s*device\s*\.\s*(attributes|capacity)\s*\)")
#: Names of CEL's types -> schemas, for the variables of a policy.
_SCHEMAS: Mapping[str, Object] = {
    "int": {"type": "integer"},
    "string": _TEXT,
    "bool": {"type": "boolean"},
    "double": {"type": "number"},
    "bytes": {"type": "string", "format": "byte"},
    "timestamp": _TIME,
    "duration": {"type": "string", "format": "duration"},
}


class RequestEnvironment:
    """Expressions about a request. `params`: the policy has parameters; `authorizer`: it may ask for rights."""

    def __init__(
        self,
        *,
        params: bool = False,
        authorizer: bool = True,
        composed: bool = False,
        object: Object | None = None,
        parameters: Object | None = None,
    ) -> None:
        """`composed`: there are `variables`, which `declare` adds one after the other. `object` and `parameters` are the
        schemas of objects and parameters; they may be anything without.
        """
        self._object, self._parameters = object, parameters
        self._params, self._authorizer, self._composed = params, authorizer, composed
        self._variables: dict[str, Object] = {}
        self._environments: dict[bool, Environment] = {}

    def declare(self, name: str, returns: Type) -> None:
        """From here on expressions may use `variables.name`."""
        self._variables[name] = _schema(returns)
        self._environments.clear()

    def compile(self, text: str, *, authorizer: bool = True) -> Expression:
        """Raises CompileError. Without `authorizer` the expression may not ask for rights, though others may."""
        return self._of(authorizer).compile(text)

    def compile_mutation(self, text: str) -> Expression:
        """An expression of a mutation, which makes objects. Raises CompileError."""
        from heeler.kinds.cel.mutations import compile_mutation

        return compile_mutation(text, *self._declared(self._authorizer), self._of(True))

    def _of(self, authorizer: bool) -> Environment:
        authorizer = authorizer and self._authorizer
        if authorizer not in self._environments:
            self._environments[authorizer] = Environment(*self._declared(authorizer))
        return self._environments[authorizer]

    def _declared(self, authorizer: bool) -> tuple[dict[str, Any], Any]:
        """The variables' types, and the pool that has them."""
        from heeler.kinds.cel.runtime import runtime

        cel = runtime()

        types = Types(plain=True)
        shown = types.of(self._object) if self._object else None
        known: dict[str, Any] = {"object": shown, "oldObject": shown}
        known["request"] = types.of(REQUEST)
        known["namespaceObject"] = types.of(NAMESPACE)
        if self._params:
            known["params"] = types.of(self._parameters) if self._parameters else None
        if self._composed:
            known["variables"] = types.of(_object(**self._variables))
        if authorizer:
            known["authorizer"] = cel.Type(Authorizer.type_name)
            known["authorizer.requestResource"] = cel.Type(ResourceCheck.type_name)
        return known, types.pool()


def _schema(type: Type) -> Object:
    """The schema of a variable whose expression returns this; {} where only the evaluation tells."""
    if type.kind == "list":
        return {"type": "array", "items": _schema(type.of[0])}
    if type.kind == "map" and type.of[0].kind == "string":
        return {"type": "object", "additionalProperties": _schema(type.of[1])}
    return _SCHEMAS.get(type.kind, _ANY)


@lru_cache(maxsize=2)
def _devices(whole: bool) -> Environment:
    """`whole`: the maps of a device are fields of it and nothing else, of which `has` can be asked."""
    from heeler.kinds.cel.runtime import runtime

    kinds = runtime().Type
    types = Types(plain=True, package="kubernetes")
    known = {"device": types.of(DEVICE)}
    if not whole:
        for name, held in _HELD.items():
            known[f"device.{name}"] = kinds.Map(kinds.STRING, kinds.Map(kinds.STRING, kinds(held)))
    return Environment(known, types.pool())


def expression_faults(
    environment: RequestEnvironment,
    text: str,
    path: str,
    wanted: tuple[str, ...],
    *,
    mutation: bool = False,
    authorizer: bool = True,
) -> Iterator[Fault]:
    """What is wrong with an expression that must return one of the types `wanted` (any if empty).

    `mutation`: it makes objects; without `authorizer` it may not ask for rights.
    """
    try:
        found = environment.compile_mutation(text) if mutation else environment.compile(text, authorizer=authorizer)
    except CompileError as error:
        yield invalid(path, text, f"compilation failed: {error}")
        return
    if wanted and found.returns not in ("dyn", *wanted):
        types = wanted[0] if len(wanted) == 1 else f"one of [{' '.join(wanted)}]"
        yield invalid(path, text, f"must evaluate to {types} but got {found.returns}")


def compile_device(text: str) -> Expression:
    """A selector of devices, whose variables are those of `device_variables`. Raises CompileError."""
    return _devices(_HAS_MAP.search(text) is not None).compile(text, bindings=True)


def device_variables(device: Object) -> dict[str, Any]:
    """What a selector sees of a device."""
    return {"device": device, **{f"device.{name}": device[name] for name in _HELD}}


def _is_any(found: Expression) -> bool:
    """What comes of a device otherwise than by its name has a type that only upstream knows; `dyn` itself will not do."""
    called = any(isinstance(node, Call) and node.function == "dyn" for node in walk(found.tree.root))
    return found.returns == "dyn" and not called


def device_faults(text: str, path: str) -> Iterator[Fault]:
    """What is wrong with a selector of devices."""
    try:
        found = compile_device(text)
    except CompileError as error:
        yield invalid(path, text, f"compilation failed: {error}")
        return
    if found.returns not in ("bool", ANY) and not _is_any(found):
        yield invalid(path, text, f"must evaluate to bool or the unknown type, not {found.returns}")
    elif Estimate(found.tree, DEVICE, variable="device").most() > costs.PER_CALL:
        yield forbidden(path, "too complex, exceeds cost limit")
