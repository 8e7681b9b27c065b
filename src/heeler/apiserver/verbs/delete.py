"""Delete: at once, gracefully, or once the finalizers are gone; one object or a collection.

Source: https://kubernetes.io/docs/concepts/architecture/garbage-collection/ ,
https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/ and recorded answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heeler.apiserver.admission.chain import Write, admit, check
from heeler.apiserver.body import read_options
from heeler.apiserver.cache import Item, encode, key_of
from heeler.apiserver.call import Call, Many, One, Plain
from heeler.apiserver.options import (
    META,
    dry_run_faults,
    integer,
    list_options,
    tri_state,
)
from heeler.apiserver.verbs.read import matching, scope, selection
from heeler.apiserver.verbs.update import TRIES
from heeler.base.clock import parse_rfc3339, rfc3339
from heeler.objects import faults
from heeler.objects.status import StatusError, bad_request, conflict, invalid, modified, not_found
from heeler.objects.value import Object, Revision
from heeler.store.store import KeyNotFound, RevisionMismatch

if TYPE_CHECKING:
    from heeler.apiserver.request import Context
    from heeler.kinds.kind import Kind

KNOWN = frozenset(
    (
        "gracePeriodSeconds",
        "preconditions",
        "orphanDependents",
        "propagationPolicy",
        "dryRun",
        "ignoreStoreReadErrorWithClusterBreakingPotential",
    )
)
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
NAMESPACES = ("", "namespaces")
#: Kinds that upstream marks in their own storage: no grace period, no new generation.
MARKED_ONLY = (NAMESPACES, ("apiextensions.k8s.io", "customresourcedefinitions"))
#: Kinds whose dependents are orphaned when nobody says otherwise.
ORPHANED_BY_DEFAULT = (("batch", "jobs"), ("", "replicationcontrollers"))
#: Kinds whose deleted object is the answer (others answer with a Status).
ANSWERED_WITH_OBJECT = (
    ("", "pods"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "podtemplates"),
    ("", "resourcequotas"),
    ("", "persistentvolumes"),
    ("", "persistentvolumeclaims"),
    ("policy", "podsecuritypolicies"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "csidrivers"),
    ("storage.k8s.io", "storageclasses"),
    ("storage.k8s.io", "volumeattachments"),
    ("storage.k8s.io", "volumeattributesclasses"),
    ("resource.k8s.io", "resourceclaims"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("resource.k8s.io", "resourceslices"),
    ("resource.k8s.io", "deviceclasses"),
)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    grace: int | None
    propagation: str  # "", Orphan, Background, Foreground
    dry_run: bool
    uid: str
    revision: str
    orphan_given: bool

    def given(self) -> Object:
        """As admission is shown them."""
        conditions = {key: text for key, text in (("uid", self.uid), ("resourceVersion", self.revision)) if text}
        out: Object = {} if self.grace is None else {"gracePeriodSeconds": self.grace}
        if conditions:
            out["preconditions"] = conditions
        return out | ({"propagationPolicy": self.propagation} if self.propagation else {})


def delete_options(call: Call) -> DeleteOptions:
    """Of the body, where there is one, else of the query. Raises 400, 422."""
    body = read_options(call, KNOWN)
    if body or call.body:
        _check_types(body)
        grace, orphan = body.get("gracePeriodSeconds"), body.get("orphanDependents")
        propagation, dry_run = body.get("propagationPolicy"), body.get("dryRun") or []
    else:
        grace = integer(call, "gracePeriodSeconds")
        orphan = tri_state(call, "orphanDependents")
        propagation = call.query["propagationPolicy"][0] if "propagationPolicy" in call.query else None
        dry_run = call.query.get("dryRun") or []
    found = []
    if propagation is not None and orphan is not None:
        found.append(
            faults.invalid(
                "propagationPolicy", propagation, "orphanDependents and deletionPropagation cannot be both set"
            )
        )
    found += propagation_faults(propagation)
    found += dry_run_faults(dry_run)
    if found:
        raise invalid("DeleteOptions", META, "", found)
    if orphan is not None:
        propagation = "Orphan" if orphan else "Background"
    conditions = body.get("preconditions") or {}
    uid, revision = conditions.get("uid") or "", conditions.get("resourceVersion") or ""
    return DeleteOptions(grace, propagation or "", bool(dry_run), uid, revision, orphan is False)


def _check_types(body: Object) -> None:
    expected: dict[str, tuple[type, str]] = {
        "gracePeriodSeconds": (int, "int64"),
        "orphanDependents": (bool, "bool"),
        "propagationPolicy": (str, "string"),
        "dryRun": (list, "[]string"),
        "preconditions": (dict, "v1.Preconditions"),
    }
    for name, value in body.items():
        wanted = expected.get(name)
        if wanted is None or value is None or (isinstance(value, wanted[0]) and not _odd_bool(value, wanted[0])):
            continue
        shown = {str: "string", bool: "bool", list: "array", dict: "object"}.get(type(value), "number")
        raise bad_request(
            f"json: cannot unmarshal {shown} into Go struct field DeleteOptions.{name} of type {wanted[1]}"
        )


def _odd_bool(value: Any, wanted: type) -> bool:
    return isinstance(value, bool) and wanted is int


async def _options(call: Call, context: Context) -> DeleteOptions:
    options = await context.server.aside.run(call.weight, delete_options, call)
    if call.record is not None and call.body:
        call.record.body({"kind": "DeleteOptions", "apiVersion": f"{META}/__internal", **options.given()})
    return options


async def delete(call: Call, context: Context) -> One | Plain:
    """DELETE of one object."""
    options = await _options(call, context)
    kind = context.kind
    if not options.propagation:
        for text in kind.deletion_warnings({}):
            call.warn(text)
    obj, done = await delete_object(call, context, options, context.info.namespace, context.info.name)
    status = 202 if not done and options.orphan_given else 200
    if done and (kind.group, kind.plural) not in ANSWERED_WITH_OBJECT:
        return Plain(_success(kind, obj), status)
    return One(kind, context.api_version, None, obj, status)


def _success(kind: Kind, obj: Object) -> Object:
    details: Object = {"name": obj["metadata"]["name"]}
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.plural
    details["uid"] = obj["metadata"]["uid"]
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


async def delete_collection(call: Call, context: Context) -> Many:
    """DELETE of all that match; the answer lists them."""
    options = await _options(call, context)
    matches = selection(list_options(call, watch=False), context)
    cache = context.server.cache.of(context.kind)
    await context.server.freshen()
    revision = context.server.cache.revision
    deleted = []
    for item in await matching(list(cache.range(scope(context))), context, matches):
        try:
            obj, done = await delete_object(call, context, options, item.namespace, item.name)
        except StatusError as error:
            if error.reason == "NotFound":
                continue
            raise
        written = int(obj["metadata"]["resourceVersion"])
        deleted.append(item if done else Item(context.kind, item.key, encode(obj), Revision(written), obj))
    await context.server.conversions.ready_to_list(deleted, context.api_version)
    return Many(context.kind, context.api_version, deleted, revision)


async def delete_object(
    call: Call, context: Context, options: DeleteOptions, namespace: str, name: str, *, admitted: bool = False
) -> tuple[Object, bool]:
    """Delete, or mark as being deleted: the object as it is then (stored form), and whether it is gone.

    `admitted`: admission has let pass what the deletion comes from.
    """
    server, kind = context.server, context.kind
    key = key_of(kind, namespace, name)
    entry = await server.store.get(key)
    for _ in range(TRIES):
        if entry is None:
            raise not_found(kind.plural, kind.group, name)
        live = Item(kind, key, entry.value, entry.revision)
        await server.conversions.ready_to_read(live, kind.storage_api_version)
        _check_preconditions(context, options, live.object(), name)
        write = Write("DELETE", kind, context, None, live.object(), options.dry_run, call, options=options.given())
        if not admitted:
            await admit(write)
            await check(write)
        try:
            return await _delete_once(context, options, live)
        except RevisionMismatch as mismatch:
            entry = mismatch.entry or await server.store.get(key)
        except KeyNotFound:
            entry = None
    raise modified(kind.plural, kind.group, name)


def _check_preconditions(context: Context, options: DeleteOptions, obj: Object, name: str) -> None:
    kind, metadata = context.kind, obj["metadata"]
    for what, wanted, found, end in (
        ("UID", options.uid, metadata["uid"], "deleted and then recreated"),
        ("ResourceVersion", options.revision, metadata["resourceVersion"], "modified"),
    ):
        if wanted and wanted != found:
            why = f"the {what} in the precondition ({wanted}) does not match the {what} in record ({found})"
            raise conflict(kind.kind, kind.group, name, f"{why}. The object might have been {end}")


def propagation_faults(propagation: str | None) -> list[faults.Fault]:
    if propagation in (None, "Foreground", "Background", "Orphan"):
        return []
    return [faults.not_supported("propagationPolicy", propagation, ("Foreground", "Background", "Orphan", "nil"))]


async def _delete_once(context: Context, options: DeleteOptions, live: Item) -> tuple[Object, bool]:
    server, kind = context.server, context.kind
    to_store = server.conversions.to_store
    old = live.object()
    now = server.clock.time()
    new, gone = plan(kind, kind.prepare_delete(old, rfc3339(now)), options, now)
    if options.dry_run:
        return new, gone
    if gone:
        revision = live.revision
        # a graceful deletion without grace is seen as such before the object goes; one that is seen already isn't shown
        # again: two who delete at once would for ever be in each other's way
        if new is not old and new != old:
            revision = await server.store.update(live.key, encode(await to_store(kind, new)), revision)
            new["metadata"]["resourceVersion"] = str(revision)
        try:
            await server.store.delete(live.key, revision)
        except KeyNotFound:
            if revision == live.revision:
                raise
            return new, True  # whoever saw the mark was faster; it is gone as was asked
        hooks = server.hooks.get((kind.group, kind.plural))
        if hooks is not None:
            await hooks.after_delete(server, old)
        return new, True
    if new is old:
        return old, False
    revision = await server.store.update(live.key, encode(await to_store(kind, new)), live.revision)
    new["metadata"]["resourceVersion"] = str(revision)
    return new, False


def plan(kind: Kind, old: Object, options: DeleteOptions, now: float) -> tuple[Object, bool]:
    """What a deletion makes of an object (stored form): the object afterwards, and whether it goes at once.

    The object itself is returned when there is nothing to do (a deletion is under way).
    """
    metadata = dict(old["metadata"])
    new = {**old, "metadata": metadata}
    finalizers = _finalizers(kind, old, options)
    grace = kind.graceful(old, options.grace)
    is_namespace = (kind.group, kind.plural) == NAMESPACES
    waits = bool(finalizers) or bool(grace) or (is_namespace and bool((old.get("spec") or {}).get("finalizers")))
    under_way = bool(metadata.get("deletionTimestamp"))
    if under_way:
        before = metadata.get("deletionGracePeriodSeconds", 0)
        shorter = grace is not None and options.grace is not None and grace < before
        if shorter:
            _shorten(metadata, grace or 0)
        elif grace and before:
            waits = True
        elif grace and not before:
            waits = bool(finalizers)
        changed = shorter or finalizers != (metadata.get("finalizers") or [])
        if waits and not changed:
            return old, False
    else:
        _mark(metadata, grace or 0, now)
        if (kind.group, kind.plural) in MARKED_ONLY:
            del metadata["deletionGracePeriodSeconds"]
            _set(metadata, "generation", old["metadata"].get("generation"))
    _set(metadata, "finalizers", finalizers)
    if not waits and grace is None and not under_way:
        return old, True  # nothing of a deletion is ever seen
    if is_namespace:
        new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return new, not waits


def _mark(metadata: Object, grace: int, now: float) -> None:
    metadata["deletionTimestamp"] = rfc3339(now + grace)
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation"):
        metadata["generation"] += 1


def _shorten(metadata: Object, grace: int) -> None:
    before = metadata.get("deletionGracePeriodSeconds", 0)
    moment = parse_rfc3339(metadata["deletionTimestamp"])
    metadata["deletionTimestamp"] = rfc3339(moment - before + grace)
    metadata["deletionGracePeriodSeconds"] = grace


def _set(metadata: Object, name: str, value: Any) -> None:
    if value:
        metadata[name] = value
    else:
        metadata.pop(name, None)


def _finalizers(kind: Kind, obj: Object, options: DeleteOptions) -> list[str]:
    """The finalizers that the propagation policy leaves the object with."""
    kept = list(obj["metadata"].get("finalizers") or [])
    if options.propagation:
        orphan, foreground = options.propagation == "Orphan", options.propagation == "Foreground"
    elif ORPHAN in kept or FOREGROUND in kept:
        return kept
    else:
        orphan = (kind.group, kind.plural) in ORPHANED_BY_DEFAULT
        foreground = False
    kept = [f for f in kept if f not in (ORPHAN, FOREGROUND)]
    if orphan:
        kept.append(ORPHAN)
    if foreground:
        kept.append(FOREGROUND)
    return kept
