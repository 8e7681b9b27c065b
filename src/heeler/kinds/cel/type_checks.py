"""What the compiler says of a ValidatingAdmissionPolicy's expressions when it knows the types that the policy takes.

Such faults refuse nothing; they are shown in the policy's status. The schemas of kinds are handed in.
Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from heeler.kinds.cel.admission import RequestEnvironment
from heeler.kinds.cel.checked import DYN
from heeler.kinds.cel.expressions import CompileError
from heeler.objects.schema import Type
from heeler.objects.value import Object

#: Of one rule of a policy, no more kinds than this are looked at.
MAX_KINDS = 10


class Form(NamedTuple):
    """A kind in one of its versions, and what gives its schema."""

    group: str
    version: str
    kind: str
    resource: str
    schema: Callable[[], Object]

    def __str__(self) -> str:
        return f"{self.group}/{self.version}, Kind={self.kind}"


def schema_of(type: Type, above: tuple[int, ...] = ()) -> Object:
    """A type as a schema; what contains itself may be anything from there on."""
    match type.form:
        case "struct" if type.preserve or id(type) in above:
            return _ANYTHING
        case "struct":
            inner = (*above, id(type))
            rows = {name: schema_of(field.type, inner) for name, field in type.fields.items()}
            return {"type": "object", "properties": rows}
        case "map":
            return {"type": "object", "additionalProperties": schema_of(type.item, above) if type.item else _ANYTHING}
        case "list":
            return {"type": "array", "items": schema_of(type.item, above) if type.item else _ANYTHING}
        case form:
            return _SCALARS.get(form, _ANYTHING)


#: Quantities too: they may be texts or numbers.
_ANYTHING: Object = {"x-kubernetes-int-or-string": True}
_SCALARS: dict[str, Object] = {
    "string": {"type": "string"},
    "int32": {"type": "integer"},
    "int64": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
}


def taken(policy: Object, known: Iterable[Form]) -> list[Form]:
    """The kinds that a policy's rules name, by group, version and kind; rules with wildcards name none."""
    forms, found = list(known), dict[tuple[str, str, str], Form]()
    for rule in (policy["spec"].get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
        if any("*" in text for text in (*groups, *versions)):
            continue
        plain = [resource for resource in rule.get("resources") or () if not set("*/") & set(resource)]
        named = [
            form
            for group in sorted(groups)
            for version in sorted(versions)
            for resource in sorted(plain)
            for form in forms
            # the core group's name is empty, which is no name: any group will do
            if group in ("", form.group) and (form.version, form.resource) == (version, resource)
        ]
        found |= {form[:3]: form for form in named[:MAX_KINDS]}
    return [found[key] for key in sorted(found)]


def warnings(policy: Object, known: Iterable[Form]) -> list[Object]:
    """`status.typeChecking.expressionWarnings`. `known`: the kinds that the cluster serves. Raises CompileError where
    there is no compiler."""
    spec, forms = policy["spec"], list(known)
    params = _parameters(spec, forms)
    environments = [(form, _environment(spec, form, params)) for form in taken(policy, forms)]
    out = []
    for at, validation in enumerate(spec.get("validations") or ()):
        for key in ("expression", "messageExpression"):
            text = validation.get(key)
            if text and (lines := list(_lines(text, environments))):
                out.append({"fieldRef": f"spec.validations[{at}].{key}", "warning": "\n".join(lines)})
    return out


def _parameters(spec: Object, forms: list[Form]) -> Object | None:
    kind = spec.get("paramKind")
    if kind is None:
        return None
    group, _, version = kind.get("apiVersion", "").rpartition("/")
    wanted = (group, version, kind.get("kind"))
    return next((form.schema() for form in forms if form[:3] == wanted), None)


def _environment(spec: Object, form: Form, params: Object | None) -> RequestEnvironment:
    environment = RequestEnvironment(params=params is not None, composed=True, object=form.schema(), parameters=params)
    for row in spec.get("variables") or ():
        try:
            compiled = environment.compile(row["expression"])
        except CompileError:
            environment.declare(row["name"], DYN)
        else:
            environment.declare(row["name"], compiled.tree.type(compiled.tree.root))
    return environment


def _lines(text: str, environments: list[tuple[Form, RequestEnvironment]]) -> Iterator[str]:
    for form, environment in environments:
        try:
            environment.compile(text)
        except CompileError as error:
            yield f"{form}: {error}\n"
