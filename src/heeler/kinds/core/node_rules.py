"""What is checked of Node and Namespace. https://kubernetes.io/docs/concepts/architecture/nodes/"""

from __future__ import annotations

from collections.abc import Iterator

from heeler.kinds.core.podspec_rules import EFFECTS
from heeler.kinds.meta.checks import numbered, one_of
from heeler.kinds.meta.objectmeta import STANDARD_FINALIZERS, each
from heeler.objects import names
from heeler.objects.faults import Fault, duplicate, forbidden, invalid
from heeler.objects.value import Object


def node(obj: Object) -> Iterator[Fault]:
    spec = obj.get("spec") or {}
    yield from _taints(spec.get("taints"), "metadata.taints")
    yield from _cidrs(spec, "spec.podCIDRs")


def _taints(rows: list[Object] | None, path: str) -> Iterator[Fault]:
    seen: set[tuple[str, str]] = set()
    for at, taint in numbered(rows):
        here, key, effect = f"{path}[{at}]", taint.get("key", ""), taint.get("effect", "")
        yield from each(f"{here}.key", key, names.qualified(key))
        wrong = names.label_value(taint.get("value", ""))
        if wrong:
            yield invalid(f"{here}.value", taint.get("value", ""), ";".join(wrong))
        yield from one_of(effect, EFFECTS, f"{here}.effect")
        if (key, effect) in seen:
            shown = {
                "Key": key,
                "Value": taint.get("value", ""),
                "Effect": effect,
                "TimeAdded": taint.get("timeAdded"),
            }
            fault = duplicate(here, shown)
            yield Fault(fault.reason, f"{fault.message}: taints must be unique by key and effect pair", here)
        seen.add((key, effect))


def _cidrs(spec: Object, path: str) -> Iterator[Fault]:
    rows = spec.get("podCIDRs") or []
    families: list[int] = []
    for at, text in enumerate(rows):
        network = names.parsed_cidr(text)
        if network is None:
            yield invalid(f"{path}[{at}]", text, names.CIDR)
        else:
            families.append(network.version)
    if len(rows) > 1 and (len(families) != len(set(families)) or len(rows) > 2):
        yield invalid(path, rows, "may specify no more than one CIDR for each IP family")


def node_update(new: Object, old: Object) -> Iterator[Fault]:
    spec, was = new.get("spec") or {}, old.get("spec") or {}
    yield from node(new)
    before = was.get("podCIDRs") or []
    if before and before != (spec.get("podCIDRs") or []):
        yield forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
    if was.get("providerID") and was["providerID"] != spec.get("providerID"):
        yield invalid("spec.providerID", None, "field cannot be modified once set")


def node_status(new: Object, old: Object) -> Iterator[Fault]:
    seen: set[tuple[str, str]] = set()
    for at, row in numbered((new.get("status") or {}).get("addresses")):
        key = (row.get("type", ""), row.get("address", ""))
        if key in seen:
            yield duplicate(f"status.addresses[{at}]", {"Type": key[0], "Address": key[1]})
        seen.add(key)


def finalizer_names(namespace: Object) -> Iterator[Fault]:
    """A namespace's own finalizers."""
    for at, name in numbered((namespace.get("spec") or {}).get("finalizers")):
        here = f"spec.finalizers[{at}]"
        yield from each(here, name, names.qualified(name))
        if "/" not in name and name not in STANDARD_FINALIZERS:
            yield invalid(here, name, "name is neither a standard finalizer name nor is it fully qualified")


def namespace_status(new: Object, old: Object) -> Iterator[Fault]:
    phase = (new.get("status") or {}).get("phase")
    if new["metadata"].get("deletionTimestamp"):
        if phase != "Terminating":
            yield invalid("status.Phase", phase or "", "may only be 'Terminating' if `deletionTimestamp` is not empty")
    elif phase != "Active":
        yield invalid("status.Phase", phase or "", "may only be 'Active' if `deletionTimestamp` is empty")
