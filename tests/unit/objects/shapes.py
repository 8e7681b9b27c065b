"""Small types for the tests of patches and apply, shaped like a Deployment."""

from heeler.objects.schema import STRING, Field, Type

INT = Type("int32")


def struct(name: str, *fields: Field, atomic: bool = False) -> Type:
    return Type("struct", name, {f.name: f for f in fields}, atomic=atomic)


TEXTS = Type("map", item=STRING)
WORDS = Type("list", item=STRING)
NAMES = Type("list", item=STRING, list_type="set")
PORT = struct(
    "ContainerPort", Field("name", STRING), Field("containerPort", INT, always=True), Field("protocol", STRING)
)
PORTS = Type("list", item=PORT, list_type="map", keys=("containerPort", "protocol"), key_defaults={"protocol": "TCP"})
CONTAINER = struct(
    "Container",
    Field("name", STRING, always=True),
    Field("image", STRING),
    Field("args", WORDS),
    Field("ports", PORTS, patch_strategy="merge", merge_key="containerPort"),
    Field("limits", Type("map", item=Type("quantity"))),
)
CONTAINERS = Type("list", item=CONTAINER, list_type="map", keys=("name",))
STRATEGY = struct("Strategy", Field("type", STRING), Field("rolling", struct("Rolling", Field("surge", INT))))
SPEC = struct(
    "Spec",
    Field("replicas", INT, pointer=True),
    Field("selector", Type("map", item=STRING, atomic=True), always=True, pointer=True),
    Field("containers", CONTAINERS, always=True, patch_strategy="merge", merge_key="name"),
    Field("strategy", STRATEGY, always=True, patch_strategy="retainKeys"),
)
META = struct(
    "ObjectMeta",
    Field("name", STRING),
    Field("namespace", STRING),
    Field("labels", TEXTS),
    Field("annotations", TEXTS),
    Field("finalizers", NAMES, patch_strategy="merge"),
    Field("resourceVersion", STRING),
    Field("managedFields", Type("list", item=Type("any"))),
)
THING = struct(
    "Thing",
    Field("apiVersion", STRING),
    Field("kind", STRING),
    Field("metadata", META, always=True),
    Field("spec", SPEC, always=True),
    Field("data", TEXTS),
)


def thing(**parts: object) -> dict:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, **parts}
