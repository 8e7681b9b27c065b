"""The shape of objects as plain facts: what strict decoding, patches and managed fields need to know of a type.

Built-in types come from `heeler.kinds.schema` (made from the published OpenAPI document), custom resources' types from
their structural schemas; both are the same `Type`. Types may refer to themselves (JSONSchemaProps does).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Form = Literal[
    "struct",  # a Go struct: known fields
    "map",  # map[string]item
    "list",  # []item
    "string",
    "int32",
    "int64",
    "float",
    "bool",
    "bytes",  # base64 text
    "time",  # metav1.Time
    "microtime",  # metav1.MicroTime
    "duration",  # metav1.Duration, e.g. "1h2m"
    "quantity",
    "intorstring",
    "any",  # RawExtension, JSON: kept as it came
]


@dataclass(slots=True, eq=False)
class Field:
    """One field of a struct.

    `always`: written even when empty (no `omitempty` in Go: `status: {}`, `resources: {}`).
    `pointer`: absent and zero differ; a zero that was given is kept.
    """

    name: str
    type: Type
    always: bool = False
    pointer: bool = False
    #: strategic merge patch: "", "merge", "retainKeys" or "merge,retainKeys", and the key of a merged list of objects.
    patch_strategy: str = ""
    merge_key: str = ""
    #: the Go structs that this field is embedded through, as error paths name them ("VolumeSource").
    embedded: str = ""


@dataclass(slots=True, eq=False)
class Type:
    """The shape of one JSON value.

    `name` is Go's type name without package ("DeploymentSpec") and `package` the package's ("v1"), for messages.
    `list_type`, `keys` and `atomic` are the
    x-kubernetes-list-type, -list-map-keys and -map-type facts of server-side apply.
    """

    form: Form
    name: str = ""
    fields: dict[str, Field] = field(default_factory=dict)
    item: Type | None = None
    list_type: Literal["atomic", "set", "map"] = "atomic"
    keys: tuple[str, ...] = ()
    #: defaults of list-map keys that an item may leave out, e.g. {"protocol": "TCP"} for container ports.
    key_defaults: dict[str, object] = field(default_factory=dict)
    atomic: bool = False
    #: keep fields that the struct does not know (x-kubernetes-preserve-unknown-fields).
    preserve: bool = False
    package: str = ""
    #: What `fieldsets` makes sets of values with: here, so that it goes with the type ("" as long as it isn't made).
    added: Any = field(default="", init=False, repr=False)
    created: Any = field(default=None, init=False, repr=False)


ANY = Type("any")
STRING = Type("string")
