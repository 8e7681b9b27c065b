"""PodSecurity: a namespace's labels say which level of the Pod Security Standards its pods must keep, or are warned of.

What is enforced, and what an audited level finds, is told to the audit log. Source:
https://kubernetes.io/docs/concepts/security/pod-security-admission/ and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heeler.objects import faults
from heeler.objects.faults import Fault
from heeler.objects.status import invalid
from heeler.objects.value import Object
from heeler.workloads.pod_security import (
    Policy,
    Violation,
    all_containers,
    level_named,
    minor_of,
    reasons,
    summary,
    violations,
)

if TYPE_CHECKING:
    from heeler.apiserver.admission.chain import Write
    from heeler.kinds.kind import Kind

PREFIX = "pod-security.kubernetes.io/"
MODES = ("enforce", "audit", "warn")
#: Pods of a namespace that are looked at when its level changes, and names that are told of.
MAX_PODS, MAX_TOLD = 3000, 10


async def check(write: Write) -> None:
    if write.new is None:
        return
    kind, old = write.kind, write.old
    if write.of("", "namespaces"):
        _check_namespace(write, write.new, old)
        return
    if not kind.own.pod_spec or write.subresource not in ("", "ephemeralcontainers", "resize"):
        return
    namespace = write.context.server.lookup("", "namespaces", "", write.context.info.namespace)
    labels = (namespace or {}).get("metadata", {}).get("labels") or {}
    if write.call.record is None and not any(f"{PREFIX}{mode}" in labels for mode in MODES):
        return
    spec = kind.pod_spec_in(write.new)
    if spec is None or (old is not None and kind.pod_spec_in(old) == spec):
        return
    notes = _annotations(kind, write.new)
    is_pod = (kind.group, kind.plural) == ("", "pods")
    if is_pod and (old is None or _matters(spec, old.get("spec") or {})):
        policy = policy_of(labels, "enforce")
        found = violations(policy, spec, notes)
        _audit(write, labels, policy, spec, notes)
        if found:
            raise write.refused(f"violates {summary(policy, found)}")
    elif is_pod:
        return
    else:
        _audit(write, labels, None, spec, notes)
    policy = policy_of(labels, "warn")
    found = violations(policy, spec, notes)
    if found:
        write.call.warn(f"would violate {summary(policy, found)}")


def _audit(write: Write, labels: Object, enforced: Policy | None, spec: Object, notes: Object) -> None:
    """Tell the audit log what is enforced and what the audited level would refuse."""
    if write.call.record is None:
        return
    if enforced is not None:
        write.call.annotate(f"{PREFIX}enforce-policy", str(enforced))
    policy = policy_of(labels, "audit")
    found = violations(policy, spec, notes)
    if found:
        write.call.annotate(f"{PREFIX}audit-violations", f"would violate {summary(policy, found)}")


def _annotations(kind: Kind, obj: Object) -> Object:
    """The annotations of a pod, or of those that the object makes: they stand beside the pod's spec."""
    found: Any = obj
    for step in kind.own.pod_spec[:-1]:
        found = (found or {}).get(step)
    return dict(((found or {}).get("metadata") or {}).get("annotations") or {})


def policy_of(labels: Object, mode: str) -> Policy:
    """What the labels ask for. Of levels that are not known, that to enforce counts as the strictest, others as none.

    Where nothing says what to warn of, it is what is enforced.
    """
    level, version = labels.get(f"{PREFIX}{mode}"), labels.get(f"{PREFIX}{mode}-version", "latest")
    enforced = level_named(labels.get(f"{PREFIX}enforce", ""))
    if mode == "warn" and level is None and enforced not in (None, "privileged"):
        level = enforced
        version = labels.get(f"{PREFIX}warn-version", labels.get(f"{PREFIX}enforce-version", "latest"))
    if level is None:
        return Policy("privileged")
    known = level_named(level) or ("restricted" if mode == "enforce" else "privileged")
    try:
        return Policy(known, minor_of(version))
    except ValueError:
        return Policy(known)


def label_faults(labels: Object, old: Object) -> Iterator[Fault]:
    """Of labels that are new or different."""
    for mode in MODES:
        key, version = f"{PREFIX}{mode}", f"{PREFIX}{mode}-version"
        if key in labels and labels[key] != old.get(key) and level_named(labels[key]) is None:
            yield faults.invalid(
                f"metadata.labels[{key}]", labels[key], "must be one of privileged, baseline, restricted"
            )
        if version in labels and labels[version] != old.get(version):
            try:
                minor_of(labels[version])
            except ValueError as error:
                yield faults.invalid(f"metadata.labels[{version}]", labels[version], str(error))


def _check_namespace(write: Write, new: Object, old: Object | None) -> None:
    name = new["metadata"].get("name", "")
    labels, before = new["metadata"].get("labels") or {}, ((old or {}).get("metadata") or {}).get("labels") or {}
    found = list(label_faults(labels, before))
    if found:
        raise invalid("Namespace", "", name, found)
    policy = policy_of(labels, "enforce")
    if old is None or policy == policy_of(before, "enforce") or policy.level == "privileged":
        return
    warnings = list(_told(write, name, policy))
    if warnings:
        write.call.warn(f'existing pods in namespace "{name}" violate the new PodSecurity enforce level "{policy}"')
        for text in warnings:
            write.call.warn(text)


def _told(write: Write, namespace: str, policy: Policy) -> Iterator[str]:
    """One line for each set of reasons, with the first pod's name. Pods of one controller count once."""
    names: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()
    for number, pod in enumerate(write.context.server.objects("", "pods", namespace)):
        if number >= MAX_PODS:
            break
        found: list[Violation] = violations(policy, pod["spec"], pod["metadata"].get("annotations"))
        owner = next((o["uid"] for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), "")
        text = reasons(found)
        if not found or (owner and (owner, text) in seen):
            continue
        seen.add((owner, text))
        names.setdefault(text, []).append(pod["metadata"]["name"])
    for text, pods in list(names.items())[:MAX_TOLD]:
        others = f" (and {len(pods) - 1} other pod{'s' if len(pods) > 2 else ''})" if len(pods) > 1 else ""
        yield f"{pods[0]}{others}: {text}"


def _matters(spec: Object, old: Object) -> bool:
    """Can this change of a pod make it less safe? Images may, and containers that are added."""
    before = {c["name"]: c.get("image") for c in all_containers(old)}
    return any(before.get(c["name"]) != c.get("image") or c["name"] not in before for c in all_containers(spec))
