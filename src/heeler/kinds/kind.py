"""What is true of one kind: the record that the API server, built-in and custom kinds share.

Facts (names, verbs, types) come from `kinds/schema`; what varies by kind in behaviour is an `Own` record, one a file in
`kinds/<group>/<kind>.py`, with a harmless default for each part. `Kind` puts both together and adds what is true of
every kind (object metadata). It does no I/O.

Forms of an object: `type(version)`, `default` and the columns' names speak of the *versioned* form; everything else
(`prepare_*`, `validate_*`, `row`, `selectable`, `warnings`) takes the *stored* form, which `convert` makes of it.
Versions are named by their `apiVersion` ("apps/v1", "v1"), since a kind may be served from two groups (events).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from heeler.kinds.types import type_named
from heeler.objects.decode import collapse
from heeler.objects.faults import Fault
from heeler.objects.schema import Type
from heeler.objects.value import Object

#: The only kind that is stored as another group's.
_CORE_EVENT = "io.k8s.api.core.v1.Event"

Now = float
Cell = Callable[[Object, Now], Any]
Rules = Callable[[Object], Iterable[Fault]]
UpdateRules = Callable[[Object, Object], Iterable[Fault]]
Prepare = Callable[[Object], None]
PrepareUpdate = Callable[[Object, Object], None]
Warnings = Callable[[Object, "Object | None"], Iterable[str]]
Getter = Callable[[Object], str]

#: How an object's name is checked: "subdomain" and "label" of RFC 1123, "label1035", "path" (rbac: a path segment).
NameForm = Literal["subdomain", "label", "label1035", "path", "any"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a kind's table.

    `about` is where the description comes from: a field ("core.v1.PodStatus.podIP") or, after a "=", the text itself.
    """

    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    priority: int = 0
    about: str = ""


@dataclass(frozen=True, slots=True)
class Subresource:
    """A subresource and the kind that is read and written there."""

    name: str
    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]
    #: The group and version are those of another API (Scale, Eviction, TokenRequest), as discovery says.
    foreign: bool = False
    type_name: str = ""

    @property
    def type(self) -> Type:
        """The type of what is written there. Raises KeyError if the API describes none (exec, proxy)."""
        return type_named(self.type_name)


@dataclass(frozen=True, slots=True)
class SubresourceOwn:
    """What varies by kind for a subresource that writes the kind's own object."""

    prepare_update: PrepareUpdate | None = None
    update_rules: UpdateRules | None = None
    #: Fields that a writer of this subresource may not own (server-side apply).
    reset_fields: tuple[tuple[str, ...], ...] | None = None
    #: Set times that tell of the change; called with the new object, the old one and now (RFC 3339).
    stamp: Callable[[Object, Object, str], None] | None = None


def _nothing(*_: Any) -> Iterable[Any]:
    return ()


def _keep(*_: Any) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Own:
    """What is written by hand about a kind.

    `status`: it has a status that only the status subresource may write. `generation`: it starts at 1 and grows when
    a part named in `generation_of` changes.
    """

    group: str
    kind: str
    default: Callable[[Object, str], None] = _keep
    convert: Callable[[Object, str, str], Object] | None = None
    status: bool = False
    generation: bool = False
    generation_of: tuple[str, ...] = ("spec",)
    name_form: NameForm = "subdomain"
    prepare_create: Prepare = _keep
    prepare_update: PrepareUpdate = _keep
    #: Fill in times that are "now" (RFC 3339) when they are left out.
    stamp: Callable[[Object, str], None] | None = None
    #: Its objects are stored as they were written, with empty lists.
    keeps_empty: bool = False
    #: The path of the pod spec in the object, for kinds that have one.
    pod_spec: tuple[str, ...] = ()
    #: What a server fills in when it reads the stored object back (its defaults apply then too).
    settle: Prepare = _keep
    rules: Rules = _nothing
    update_rules: UpdateRules | None = None
    subresources: Mapping[str, SubresourceOwn] = field(default_factory=dict)
    warnings: Warnings = _nothing
    #: Of what `prepare_create` is about to change; called before it.
    early_warnings: Callable[[Object], Iterable[str]] = _nothing
    columns: tuple[Column, ...] = ()
    selectable: Mapping[str, Getter] = field(default_factory=dict)
    #: The message for a field label that is not supported; `{label}` stands for it.
    unsupported_label: str = '"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    allow_create_on_update: bool = False
    allow_unconditional_update: bool = True
    graceful: Callable[[Object, int | None], int | None] | None = None
    reset_fields: tuple[tuple[str, ...], ...] | None = None
    #: Server-side apply keeps track of who owns its fields.
    tracked: bool = True
    #: Every answer about it warns of this (the version is deprecated).
    deprecation: str = ""
    #: What a row of its table says besides its cells, e.g. that a pod has ended.
    row_conditions: Callable[[Object], list[Object]] | None = None
    #: What a deletion without a word on dependents is warned of.
    deletion_warning: str = ""
    #: Changes the object, in place, when its deletion begins: a finalizer that waits for what belongs to it.
    prepare_delete: Callable[[Object, str], None] | None = None
    #: An empty table has no rows at all (null) instead of an empty list of them.
    null_rows: bool = False
    #: Annotations that upstream keeps as fields: an object's metadata alone (PartialObjectMetadata) is without them.
    hidden_annotations: tuple[str, ...] = ()
    #: The same fault may be named twice.
    repeats: bool = False
    #: The apiVersion that is stored; "" for the kind's preferred one.
    storage: str = ""


def api_version(group: str, version: str) -> str:
    """`apps/v1`, or `v1` for the core group."""
    return f"{group}/{version}" if group else version


class Kind:
    """A kind that is served, in one or more versions of its group."""

    #: made by a CustomResourceDefinition
    custom: bool = False

    def __init__(self, facts: list[Mapping[str, Any]], own: Own | Callable[[], Own]) -> None:
        """`facts`: the kind's rows of the schema, preferred version first. `own` may be loaded when first needed."""
        first = facts[0]
        self._own = own
        self.group: str = first["group"]
        self.kind: str = first["kind"]
        self.list_kind = f"{self.kind}List"
        self.plural: str = first["plural"]
        self.singular: str = first["singular"]
        self.namespaced: bool = first["namespaced"]
        self.short_names: tuple[str, ...] = tuple(first["shortNames"])
        self.categories: tuple[str, ...] = tuple(first["categories"])
        self.versions: tuple[str, ...] = tuple(row["version"] for row in facts)
        self.verbs: tuple[str, ...] = tuple(first["verbs"])
        self.storage_version_hash: str = first["hash"]
        self._type_names: dict[str, str] = {row["version"]: row["type"] for row in facts}
        self.subresources = subresources_of(first)

    def __repr__(self) -> str:
        return f"<Kind {self.kind} of {api_version(self.group, self.versions[0])}>"

    @cached_property
    def own(self) -> Own:
        """The part that is written by hand."""
        return self._own if isinstance(self._own, Own) else self._own()

    @cached_property
    def storage_api_version(self) -> str:
        """The apiVersion of the stored form."""
        return self.own.storage or self.preferred_api_version

    @property
    def allow_create_on_update(self) -> bool:
        """A PUT of a name that is not there makes it."""
        return self.own.allow_create_on_update

    @property
    def allow_unconditional_update(self) -> bool:
        """A PUT need not name the resourceVersion that it replaces."""
        return self.own.allow_unconditional_update

    @property
    def storage_version(self) -> str:
        return self.storage_api_version.rpartition("/")[2]

    @cached_property
    def storage_group(self) -> str:
        """The group under which objects are stored: the kind's own but for events."""
        return self.storage_api_version.rpartition("/")[0]

    @cached_property
    def stored_elsewhere(self) -> bool:
        """Objects are stored as another group's kind (events.k8s.io's events as the core group's)."""
        return self.storage_group != self.group

    @cached_property
    def preferred_api_version(self) -> str:
        return api_version(self.group, self.versions[0])

    def api_version(self, version: str) -> str:
        return api_version(self.group, version)

    def type(self, version: str) -> Type:
        """The shape of the kind in a version ("v1"). Raises KeyError for a version that is not served."""
        return type_named(self._type_names[version])

    def type_name(self, version: str) -> str:
        """The OpenAPI name of that type."""
        return self._type_names[version]

    # The versioned form.

    def decode(self, value: Any, version: str, *, strict: bool = False) -> tuple[Object, list[str]]:
        """The object as its type holds it, and a line for each unknown field. Raises DecodeError."""
        from heeler.objects.decode import decode

        return decode(value, self.type(version), strict=strict)

    def default(self, obj: Object, version: str) -> None:
        """Fill in what was left out, in place, as the version `version` ("v1") says."""
        self.own.default(obj, version)

    def convert(self, obj: Object, source: str, target: str) -> Object:
        """The object of apiVersion `source` as one of apiVersion `target`; the given one is not changed."""
        if source == target:
            return obj
        if self.own.convert is None:
            return {**obj, "apiVersion": target}
        return self.own.convert(obj, source, target)

    # The stored form.

    def prepare_create(self, obj: Object, now: str = "") -> None:
        """Drop what a writer may not set, in place; the generation starts. `now` (RFC 3339) as in `prepare_update`."""
        if self.own.status:
            _reset_status(obj, None)
        if self.own.generation:
            obj["metadata"]["generation"] = 1
        else:
            obj["metadata"].pop("generation", None)
        self._drop_disabled(obj)
        self.own.prepare_create(obj)
        if self.own.stamp is not None and now:
            self.own.stamp(obj, now)

    def prepare_update(self, new: Object, old: Object, subresource: str = "", now: str = "") -> None:
        """Put back, in place in `new`, what this endpoint may not change; the generation grows if it must.

        `now` (RFC 3339) is for the few kinds that tell when something changed; without it those times stay.
        """
        if subresource and subresource != "scale":
            self._prepare_subresource(new, old, subresource)
            own = self.own.subresources.get(subresource)
            if own is not None and own.stamp is not None and now:
                own.stamp(new, old, now)
            return
        if self.own.status:
            _reset_status(new, old)
        _keep_generation(new, old)
        self._drop_disabled(new)
        self.own.prepare_update(new, old)
        if self.own.stamp is not None and now:
            self.own.stamp(new, now)
        if self.own.generation and any(
            _part(new, steps) != _part(old, steps)
            for path in self.own.generation_of
            for steps in [tuple(path.split("."))]
        ):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def _drop_disabled(self, obj: Object) -> None:
        """Fields of pods whose feature is off are dropped."""
        if self.own.pod_spec:
            from heeler.kinds.core.podspec import drop_disabled

            drop_disabled(self.pod_spec_in(obj))

    def _prepare_subresource(self, new: Object, old: Object, subresource: str) -> None:
        own = self.own.subresources.get(subresource)
        _keep_generation(new, old)
        if own is not None and own.prepare_update is not None:
            own.prepare_update(new, old)
        elif subresource == "status":
            status_only(new, old)

    @property
    def storage_type(self) -> Type:
        """The shape of the stored form."""
        return type_named(_CORE_EVENT) if self.stored_elsewhere else self.type(self.storage_version)

    def pod_spec_in(self, obj: Object) -> Any:
        """The spec of the pod that the object is or makes, None if there is none."""
        return _part(obj, self.own.pod_spec) if self.own.pod_spec else None

    def view(self, version: str) -> Kind:
        """The kind as requests of one version see it: versions of custom kinds differ in more than their types."""
        return self

    @property
    def stored_api_version(self) -> str:
        """The apiVersion in which objects are written to the store."""
        return self.storage_api_version

    @property
    def webhook(self) -> Object | None:
        """The webhook (`spec.conversion.webhook`) without which objects can't be converted between versions."""
        return None

    def of_store(self, obj: Object, api_version: str) -> Object:
        """What was read from the store, in a version that is served. Takes `obj` over."""
        return self.convert(obj, self.storage_api_version, api_version)

    def settle(self, obj: Object) -> None:
        """Make, in place, of a valid object what reading it back from the store would give: call it before storing."""
        self.own.settle(obj)
        if not self.own.keeps_empty:
            collapse(obj, self.storage_type)

    def validate_create(self, obj: Object) -> list[Fault]:
        """All that is wrong with a new object, in upstream's order."""
        from heeler.kinds.meta.objectmeta import create_rules

        faults = list(create_rules(obj["metadata"], self.namespaced, self.own.name_form))
        faults += self.own.rules(obj)
        return self._once(faults)

    def validate_update(self, new: Object, old: Object, subresource: str = "") -> list[Fault]:
        """All that is wrong with a changed object, in upstream's order."""
        from heeler.kinds.meta.objectmeta import update_rules

        faults = list(update_rules(new["metadata"], old["metadata"], self.namespaced))
        if subresource:
            own = self.own.subresources.get(subresource)
            if own is not None and own.update_rules is not None:
                faults += own.update_rules(new, old)
            return self._once(faults)
        if self.own.update_rules is not None:
            faults += self.own.update_rules(new, old)
        else:
            faults += self.own.rules(new)
        return self._once(faults)

    def _once(self, faults: list[Fault]) -> list[Fault]:
        """Each fault once (custom resources name some twice)."""
        return faults if self.own.repeats or len(faults) < 2 else list(dict.fromkeys(faults))

    def tidy(self, obj: Object) -> list[str]:
        """Drop, in place, owners that are named twice; a warning tells of them. Call it before `prepare_*`."""
        from heeler.kinds.meta.objectmeta import drop_repeated_owners

        return drop_repeated_owners(obj["metadata"])

    def warnings(self, new: Object, old: Object | None) -> list[str]:
        """What a writer is warned of; `old` is None on create."""
        return list(self.own.warnings(new, old))

    def columns(self, version: str) -> tuple[Column, ...]:
        """The columns of the kind's table; what none has gets name and time of creation."""
        from heeler.kinds.printing import DEFAULT_COLUMNS

        return self.own.columns or DEFAULT_COLUMNS

    def row(self, obj: Object, now: Now) -> list[Any]:
        """The cells of one object (stored form), one for each column; `now` in seconds since the epoch."""
        return [column.cell(obj, now) for column in self.columns(self.versions[0])]

    def row_conditions(self, obj: Object) -> list[Object]:
        """The row's conditions, as tables carry them; mostly none."""
        return [] if self.own.row_conditions is None else self.own.row_conditions(obj)

    @property
    def null_rows(self) -> bool:
        """An empty table of the kind has `rows: null`."""
        return self.own.null_rows or not self.own.columns

    def partial_metadata(self, metadata: Object) -> Object:
        """An object's metadata as it is shown without the object."""
        hidden = self.own.hidden_annotations
        if not any(name in (metadata.get("annotations") or {}) for name in hidden):
            return metadata
        kept = {name: text for name, text in metadata["annotations"].items() if name not in hidden}
        rest = {key: value for key, value in metadata.items() if key != "annotations"}
        return {**rest, "annotations": kept} if kept else rest

    @property
    def tracked(self) -> bool:
        """The owners of its fields are kept track of (managedFields)."""
        return self.own.tracked

    def deprecation(self, version: str) -> str:
        """A warning for every answer about a version of the kind, or ""."""
        return self.own.deprecation

    def prepare_delete(self, obj: Object, now: str) -> Object:
        """The object as its deletion begins (`now` in RFC 3339); the same one if nothing changes."""
        if self.own.prepare_delete is None or obj["metadata"].get("deletionTimestamp"):
            return obj
        out = {**obj, "metadata": dict(obj["metadata"])}
        self.own.prepare_delete(out, now)
        return out

    def deletion_warnings(self, options: Object) -> list[str]:
        """What a deletion with these DeleteOptions is warned of."""
        said = options.get("propagationPolicy") is not None or options.get("orphanDependents") is not None
        return [] if said or not self.own.deletion_warning else [self.own.deletion_warning]

    @property
    def selectable(self) -> Mapping[str, Getter]:
        """The field labels that a field selector may use, with what reads them from an object (stored form)."""
        out: dict[str, Getter] = {"metadata.name": _name, **self.own.selectable}
        if self.namespaced:
            out["metadata.namespace"] = _namespace
        return out

    def unsupported_label(self, label: str) -> str:
        """The message for a field selector that the kind does not support."""
        return self.own.unsupported_label.format(label=label, kind=self.kind)

    def reset_fields(self, subresource: str = "") -> tuple[tuple[str, ...], ...]:
        """Paths that a writer of this endpoint does not come to own, since the server resets them."""
        if subresource:
            own = self.own.subresources.get(subresource)
            if own is not None and own.reset_fields is not None:
                return own.reset_fields
            return {"status": (("spec",),), "finalize": (("status",),)}.get(subresource, ())
        if self.own.reset_fields is not None:
            return self.own.reset_fields
        return (("status",),) if self.own.status else ()

    def graceful(self, obj: Object, grace_seconds: int | None) -> int | None:
        """The seconds that a deletion waits; None if the kind is deleted at once."""
        return None if self.own.graceful is None else self.own.graceful(obj, grace_seconds)


def subresources_of(facts: Mapping[str, Any]) -> dict[str, Subresource]:
    """The subresources in a kind's row of the schema, by name."""
    return {
        name: Subresource(
            name,
            entry["group"],
            entry["version"],
            entry["kind"],
            tuple(entry["verbs"]),
            bool(entry.get("foreign")),
            entry.get("type", ""),
        )
        for name, entry in facts["subresources"].items()
    }


def _name(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def _namespace(obj: Object) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _part(obj: Object, path: tuple[str, ...]) -> Any:
    here: Any = obj
    for step in path:
        here = here.get(step) if isinstance(here, dict) else None
    return here or None


def _keep_generation(new: Object, old: Object) -> None:
    if "generation" in old["metadata"]:
        new["metadata"]["generation"] = old["metadata"]["generation"]
    else:
        new["metadata"].pop("generation", None)


def _reset_status(obj: Object, old: Object | None) -> None:
    if old is not None and "status" in old:
        obj["status"] = old["status"]
    else:
        obj.pop("status", None)


def status_only(new: Object, old: Object) -> None:
    """A writer of the status changes neither the rest of the object nor its metadata's labels and the like."""
    for key in [k for k in new if k not in ("apiVersion", "kind", "metadata", "status")]:
        del new[key]
    for key, value in old.items():
        if key not in ("apiVersion", "kind", "metadata", "status"):
            new[key] = value


def status_and_no_metadata(new: Object, old: Object) -> None:
    """A writer of the status changes nothing else, not even labels and the like."""
    status_only(new, old)
    keep_metadata(new, old)


def keep_metadata(new: Object, old: Object) -> None:
    """The metadata stays, but for who manages what."""
    managed = new["metadata"].get("managedFields")
    new["metadata"] = {key: value for key, value in old["metadata"].items() if key != "managedFields"}
    if managed is not None:
        new["metadata"]["managedFields"] = managed
