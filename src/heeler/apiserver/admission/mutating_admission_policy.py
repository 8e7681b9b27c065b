"""MutatingAdmissionPolicy: policies that change what is written, by an apply configuration or a JSON patch.

They act one after the other, each on what the last one made. After plugins or webhooks changed the object, those that ask
for it (`reinvocationPolicy: IfNeeded`) act once more if something changed since. Fields that a policy sets are nobody's in
managedFields. What fails is put together into one refusal. Source:
https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/ and recorded answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heeler.apiserver.admission import policies, requests
from heeler.apiserver.admission.policies import Invocation
from heeler.apiserver.admission.rounds import Rounds
from heeler.objects import json_patch, typed
from heeler.objects.decode import DecodeError
from heeler.objects.status import StatusError, internal_error
from heeler.objects.value import Object

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write

POLICIES, BINDINGS = "mutatingadmissionpolicies", "mutatingadmissionpolicybindings"


@dataclass(frozen=True, slots=True)
class _Failure:
    policy: Object
    binding: Object | None
    message: str
    reason: str

    @property
    def text(self) -> str:
        name = self.policy["metadata"]["name"]
        if self.binding is None:
            return f'policy "{name}" denied request: {self.message}'
        return f"policy '{name}' with binding '{self.binding['metadata']['name']}' denied request: {self.message}"


async def mutate(write: Write, rounds: Rounds, *, again: bool = False) -> bool:
    """Let the policies act; did they change the object? `again`: the second round. Raises StatusError."""
    before = write.new
    failures: list[_Failure] = []
    if again:
        rounds.begin_again(write.new)
    for found in list(policies.invocations(write, POLICIES, BINDINGS)):
        closed = found.policy["spec"].get("failurePolicy", "Fail") == "Fail"
        if isinstance(found, Invocation):
            made = await _act(write, found, rounds, again)
        else:
            made = [_Failure(found.policy, found.binding, found.message, "Forbidden")]
        failures += made if closed else ()
    rounds.end(write.new)
    if failures:
        raise _denied(write, failures)
    return write.new is not before


async def _act(write: Write, invocation: Invocation, rounds: Rounds, again: bool) -> list[_Failure]:
    from heeler.kinds.cel.policies import ConditionError, conditions_hold

    policy, spec = invocation.policy, invocation.policy["spec"]

    def failure(words: object) -> _Failure:
        return _Failure(policy, invocation.binding, str(words), "Invalid")

    values = await policies.values(write, invocation)
    try:
        if not await policies.answered(write, lambda: conditions_hold(spec.get("matchConditions"), values)):
            return []
    except ConditionError as error:
        return [failure(error)]
    if again and invocation.key not in rounds.again:
        return []
    before, failures = write.new, []
    for mutation in spec.get("mutations") or ():
        if write.new is None:
            continue
        try:
            await _change(write, invocation, mutation)
        except ValueError as error:
            failures.append(failure(error))
    # unlike a webhook, a policy acts again after a change of its own too
    if spec.get("reinvocationPolicy") == "IfNeeded":
        rounds.acted[invocation.key] = None
    if write.new is not before:
        rounds.changed()
    return failures


async def _change(write: Write, invocation: Invocation, mutation: Object) -> None:
    """One mutation. Raises ValueError with the words of what went wrong, StatusError for what is nobody's policy."""
    values = await policies.values(write, invocation)
    shown: Object = values["object"]
    if mutation.get("patchType") == "JSONPatch":
        found = await policies.answered(write, lambda: _evaluated(invocation, mutation["jsonPatch"], values))
        changed = _patched(shown, found)
        if changed is not None:
            await _replace(write, changed, invocation.version, strict=True)
        return
    found = await policies.answered(write, lambda: _evaluated(invocation, mutation["applyConfiguration"], values))
    await _replace(write, _merged(write, shown, found, invocation.version), invocation.version)


def _evaluated(invocation: Invocation, row: Object, values: dict[str, Any]) -> Any:
    """Raises ValueError."""
    from heeler.kinds.cel.evaluation import Budget
    from heeler.kinds.cel.expressions import CompileError
    from heeler.kinds.cel.policies import mutation_program, scope
    from heeler.kinds.cel.values import BudgetError, EvaluationError

    text, budget = row["expression"].strip(), Budget()
    try:
        program = mutation_program(text)
    except CompileError as error:
        raise ValueError(f"compilation failed: {error}") from None
    try:
        return program.evaluate(scope(invocation.policy["spec"], values, budget), budget)
    except BudgetError:
        raise
    except EvaluationError as error:
        raise ValueError(f"expression '{text}' resulted in error: {error}") from None


def _patched(shown: Object, found: Any) -> Object | None:
    """The object with a JSON patch; None where a `test` of it fails. Raises ValueError."""
    from heeler.kinds.cel.mutations import operations

    try:
        changed = json_patch.patched(shown, operations(found))
    except json_patch.TestFailed:
        return None
    except json_patch.Refused as error:
        raise ValueError(f"JSON Patch: {error}") from None
    if not isinstance(changed, dict):
        raise ValueError("JSON Patch: the patched document is no object")
    return changed


def _merged(write: Write, shown: Object, found: Any, version: str) -> Object:
    """The object with an apply configuration. Raises ValueError."""
    from heeler.kinds.cel.mutations import atomics, configuration, nulls

    applied, type = configuration(found), requests.type_of(write, version)
    applied |= {"apiVersion": shown["apiVersion"], "kind": shown["kind"]}
    try:
        for fault in nulls(applied, type):
            raise ValueError(fault)
        typed.check(applied, type)
    except ValueError as error:
        words = "error applying patch: failed to convert patch object to typed object: "
        raise ValueError(f"{words}{error}") from None
    if whole := list(atomics(applied, type)):
        words = "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
        raise ValueError(f"{words}{', '.join(whole)}")
    merged = typed.merge(shown, applied, type)
    return merged if isinstance(merged, dict) else shown


async def _replace(write: Write, changed: Object, version: str, *, strict: bool = False) -> None:
    """Go on with a changed object; unknown fields are refused (500) if `strict`. Raises StatusError."""
    try:
        lines = await requests.replace(write, changed, version, strict=strict)
    except DecodeError as error:
        if strict:
            raise internal_error(str(error)) from None
        group_kind = f"{write.kind.api_version(version)}, Kind={write.kind.kind}"
        raise ValueError(f"unable to convert unstructured object to {group_kind}: {_converted(str(error))}") from None
    if lines:
        raise internal_error(f"strict decoding error: {', '.join(lines)}")


def _converted(words: str) -> str:
    """A fault of decoding, as one of converting a value that is in memory already."""
    found = re.fullmatch(r"json: cannot unmarshal number [\d.eE+-]+ into Go .* of type (\w+)", words)
    return f"cannot convert float64 to {found[1]}" if found else words


def _denied(write: Write, failures: list[_Failure]) -> StatusError:
    """Upstream keeps the code of a forbidden request whatever the reason."""
    error = requests.denied(write, failures[0].text, failures[0].reason)
    causes = [{"message": failure.text} for failure in failures]
    return StatusError(403, failures[0].reason, failures[0].text, {**(error.details or {}), "causes": causes})
