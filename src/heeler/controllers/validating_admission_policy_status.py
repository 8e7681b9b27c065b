"""What the compiler finds wrong with policies, given the types of the kinds that they take, stands in their status.

https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from heeler.client.informer import key_of
from heeler.client.queue import WorkQueue
from heeler.controllers.loop import Context
from heeler.controllers.resources import CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_ADMISSION_POLICIES
from heeler.kinds.cel.expressions import CompileError
from heeler.kinds.cel.type_checks import Form, schema_of, warnings
from heeler.kinds.kind import Kind
from heeler.kinds.registry import built_in
from heeler.objects.value import Object


def forms(definitions: Iterable[Object]) -> Iterator[Form]:
    """Every kind that the cluster serves, in each version."""
    for kind in built_in():
        for name in kind.versions:
            yield Form(kind.group, name, kind.kind, kind.plural, partial(_built_in_schema, kind, name))
    for definition in definitions:
        spec = definition["spec"]
        for version in spec.get("versions") or ():
            if version.get("served"):
                names, schema = spec["names"], (version.get("schema") or {}).get("openAPIV3Schema") or {}
                custom = partial(_custom_schema, schema)
                yield Form(spec["group"], version["name"], names["kind"], names["plural"], custom)


def _built_in_schema(kind: Kind, version: str) -> Object:
    return schema_of(kind.type(version))


def _custom_schema(schema: Object) -> Object:
    """The schema with what every object has."""
    known, text = schema.get("properties") or {}, {"type": "string"}
    some = built_in().by_path("", "v1", "configmaps")
    assert some is not None
    every = {"apiVersion": text, "kind": text, "metadata": schema_of(some.type("v1").fields["metadata"].type)}
    return {**schema, "properties": {**known, **every}}


def checked(policy: Object, definitions: Iterable[Object]) -> Object:
    """The policy's status. Raises CompileError where there is no compiler."""
    found = warnings(policy, forms(definitions))
    checking: Object = {"expressionWarnings": found} if found else {}
    return {"observedGeneration": policy["metadata"].get("generation", 0), "typeChecking": checking}


class ValidatingAdmissionPolicyStatusController:
    def __init__(self, context: Context) -> None:
        self.queue: WorkQueue[str] = WorkQueue()
        self._client = context.client
        self._definitions = context.informers.get(CUSTOM_RESOURCE_DEFINITIONS)
        self._policies = context.informers.get(VALIDATING_ADMISSION_POLICIES)
        self._policies.add_handler(lambda old, new: self.queue.add(key_of(new or old or {})))

    async def reconcile(self, key: str) -> None:
        policy = self._policies.get(key)
        if policy is None or _is_observed(policy):
            return
        try:
            status = checked(policy, list(self._definitions))
        except CompileError:
            return  # no compiler on this machine: nobody can write policies with expressions either
        await self._client.update(
            VALIDATING_ADMISSION_POLICIES,
            {**policy, "status": {**(policy.get("status") or {}), **status}},
            subresource="status",
        )


def _is_observed(policy: Object) -> bool:
    seen: int = (policy.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= policy["metadata"].get("generation", 0))
