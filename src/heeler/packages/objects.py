"""What templates see beside the values: `.Files`, `.Capabilities`, `.Release`, `.Chart`, `.Template`.

`.Chart`, `.Release` and `.Subcharts` are plain maps; `.Template` is one of the type of the values. Facts: what helm 4.3 shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from heeler.packages.template.values import Function, GoError, Map, NilMap, Slice, Struct, go

#: The type of the values, of `.` itself and of `.Template`.
VALUES: Final = "common.Values"

#: What helm says of itself in `.Capabilities.HelmVersion`, and of Kubernetes where no cluster is asked.
HELM_VERSION: Final = "v4.3"
GO_VERSION: Final = "go1.26.8"
KUBE_VERSION: Final = "v1.37.0"
KUBE_CLIENT_VERSION: Final = "v1.37"


# ---- values ----------------------------------------------------------------------------------------------------------


class Values(Map):
    """The values, `.` itself and `.Template`: a map with methods."""

    __slots__ = ()

    go_methods: ClassVar[Mapping[str, Function]]

    def __init__(self, content: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(VALUES, content)

    def yaml(self) -> str:
        from heeler.packages.yaml.write import dump

        return dump(self)

    def plain(self) -> dict[str, Any]:
        return dict(self)

    def table(self, path: str) -> Values:
        """The map at a path of names with dots. Raises `GoError` if there is none."""
        found: Any = self
        for name in path.split("."):
            found = found.get(name)
            if not isinstance(found, dict):
                raise GoError(f'"{name}" is not a table')
        return Values(found)

    def path_value(self, path: str) -> Any:
        """What stands at a path of names with dots and is no map. Raises `GoError` if there is none."""
        if not path:
            raise GoError("YAML path cannot be empty")
        above, _, name = path.rpartition(".")
        try:
            found = (self.table(above) if above else self).get(name)
        except GoError:
            found = None
        if found is None or isinstance(found, dict):
            raise GoError(f'"{name}" is not a value')
        return found


Values.go_methods = {
    "YAML": go("YAML(common.Values) string")(Values.yaml),
    "AsMap": go("AsMap(common.Values) map[string]interface {}")(Values.plain),
    "Table": go("Table(common.Values, string) common.Values")(Values.table),
    "Encode": go("Encode(common.Values, io.Writer) error")(Values.yaml),
    "PathValue": go("PathValue(common.Values, string) interface {}")(Values.path_value),
}


# ---- files -----------------------------------------------------------------------------------------------------------


class Files(Map):
    """A chart's files that are neither templates nor values, by path; their content is bytes."""

    __slots__ = ()

    go_methods: ClassVar[Mapping[str, Function]]

    def __init__(self, files: Mapping[str, bytes] | Iterable[tuple[str, bytes]] = ()) -> None:
        super().__init__("engine.files", files)

    def content(self, name: str) -> bytes:
        return self.get(name, b"")  # type: ignore[no-any-return]

    def text(self, name: str) -> str:
        return self.content(name).decode("utf-8", "surrogateescape")

    def glob(self, pattern: str) -> Files:
        """The files whose path matches: `*` and `?` stop at slashes, `**` doesn't, `[a-c]`, `{one,two}`."""
        compiled = _glob(pattern)
        if compiled is None:
            compiled = _glob("**")
        assert compiled is not None
        return Files({name: content for name, content in self.items() if compiled.fullmatch(_utf8(name))})

    def lines(self, name: str) -> Slice:
        if name not in self:
            return Slice("[]string")
        lines = self.text(name).split("\n")
        return Slice("[]string", lines[:-1] if lines[-1] == "" else lines)

    def as_config(self) -> str:
        """The files as the data of a ConfigMap: by base name, in YAML without its final line end."""
        return self._as_yaml({self._base(name): self.text(name) for name in sorted(self)})

    def as_secrets(self) -> str:
        """The files as the data of a Secret: by base name, in base64."""
        import base64

        return self._as_yaml({self._base(name): base64.b64encode(self[name]).decode() for name in sorted(self)})

    @staticmethod
    def _base(name: str) -> str:
        return name[name.rfind("/") + 1 :]

    @staticmethod
    def _as_yaml(content: dict[str, str]) -> str:
        """What can't be written (a file with control characters) is silently nothing, as in Helm."""
        from heeler.packages.yaml.write import dump

        try:
            return dump(content).removesuffix("\n")
        except GoError:
            return ""


Files.go_methods = {
    "Get": go("Get(engine.files, string) string")(Files.text),
    "GetBytes": go("GetBytes(engine.files, string) []uint8")(Files.content),
    "Glob": go("Glob(engine.files, string) engine.files")(Files.glob),
    "Lines": go("Lines(engine.files, string) []string")(Files.lines),
    "AsConfig": go("AsConfig(engine.files) string")(Files.as_config),
    "AsSecrets": go("AsSecrets(engine.files) string")(Files.as_secrets),
}


def _glob(pattern: str) -> Any:
    """A pattern's `fullmatch` and so on, in time that grows with the name only; None if it is no pattern.

    The pattern with `/` as what parts names, braces that aren't closed are closed at the end."""
    import re2  # many stars would take Python's own an endless time

    out = []
    at = 0
    alternatives = 0
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if sign == "*":
            many = pattern.startswith("*", at)
            while pattern.startswith("*", at):
                at += 1
            out.append(".*" if many else "[^/]*")
        elif sign == "?":
            out.append("[^/]")
        elif sign == "\\":
            out.append(re.escape(pattern[at : at + 1]))
            at += 1
        elif sign == "[":
            found = _CLASS.match(pattern, at)
            if not found or (found["from"] is not None and found["from"] > found["to"]):
                return None
            at = found.end()
            one = f"{re.escape(found['from'])}-{re.escape(found['to'])}" if found["from"] else ""
            one = one or re.sub(r"\\(.)|(.)", lambda char: re.escape(char[1] or char[2]), found["signs"])
            out.append(f"[{'^' if found['not'] else ''}{one}]")
        elif sign == "{":
            alternatives += 1
            out.append("(?:")
        elif sign == "}" and alternatives:
            alternatives -= 1
            out.append(")")
        elif sign == "," and alternatives:
            out.append("|")
        else:
            out.append(re.escape(sign))
    return re2.compile(_utf8("(?s:" + "".join(out) + ")" * alternatives + ")"))


def _utf8(text: str) -> str:
    """Without what isn't UTF-8, for expressions that take nothing else."""
    return text.encode("utf-8", "replace").decode()


#: What stands between brackets: one range, or signs one by one.
_CLASS = re.compile(r"(?P<not>!?)(?:(?P<from>.)-(?P<to>.)|(?P<signs>(?!.-)(?:\\.|[^\]\\])+))\]", re.DOTALL)


# ---- capabilities ----------------------------------------------------------------------------------------------------

#: The API versions that helm takes for served where no cluster is asked, in its order.
DEFAULT_API_VERSIONS: Final = tuple(
    """
v1
admissionregistration.k8s.io/v1
admissionregistration.k8s.io/v1alpha1
admissionregistration.k8s.io/v1beta1
internal.apiserver.k8s.io/v1alpha1
apps/v1
apps/v1beta1
apps/v1beta2
authentication.k8s.io/v1
authentication.k8s.io/v1alpha1
authentication.k8s.io/v1beta1
authorization.k8s.io/v1
authorization.k8s.io/v1beta1
autoscaling/v1
autoscaling/v2
batch/v1
batch/v1beta1
certificates.k8s.io/v1
certificates.k8s.io/v1beta1
certificates.k8s.io/v1alpha1
coordination.k8s.io/v1alpha2
coordination.k8s.io/v1beta1
coordination.k8s.io/v1
discovery.k8s.io/v1
discovery.k8s.io/v1beta1
events.k8s.io/v1
events.k8s.io/v1beta1
extensions/v1beta1
flowcontrol.apiserver.k8s.io/v1
flowcontrol.apiserver.k8s.io/v1beta1
flowcontrol.apiserver.k8s.io/v1beta2
flowcontrol.apiserver.k8s.io/v1beta3
lifecycle.k8s.io/v1alpha1
networking.k8s.io/v1
networking.k8s.io/v1beta1
node.k8s.io/v1
node.k8s.io/v1alpha1
node.k8s.io/v1beta1
policy/v1
policy/v1beta1
rbac.authorization.k8s.io/v1
rbac.authorization.k8s.io/v1beta1
rbac.authorization.k8s.io/v1alpha1
resource.k8s.io/v1
resource.k8s.io/v1beta2
resource.k8s.io/v1beta1
resource.k8s.io/v1alpha3
scheduling.k8s.io/v1alpha3
scheduling.k8s.io/v1beta1
scheduling.k8s.io/v1
storage.k8s.io/v1beta1
storage.k8s.io/v1
storage.k8s.io/v1alpha1
storagemigration.k8s.io/v1
storagemigration.k8s.io/v1beta1
apiextensions.k8s.io/v1beta1
apiextensions.k8s.io/v1
""".split()
)


@dataclass(frozen=True, slots=True)
class KubeVersion(Struct):
    """The cluster's version: `v1.33.1`, as it was given, and without what stands behind the numbers."""

    version: str
    normalized: str
    major: str
    minor: str

    go_type: ClassVar[str] = "common.KubeVersion"
    go_fields: ClassVar[Mapping[str, str]] = {
        "Version": "version",
        "normalizedVersion": "normalized",
        "Major": "major",
        "Minor": "minor",
    }
    go_methods: ClassVar[Mapping[str, Function]] = {}
    go_by_pointer: ClassVar[bool] = True

    def json_form(self) -> dict[str, Any]:
        return {"Version": self.version, "Major": self.major, "Minor": self.minor}

    def yaml_form(self) -> dict[str, Any]:
        return {"version": self.version, "major": self.major, "minor": self.minor}


KubeVersion.go_methods = {
    "String": go("String(common.KubeVersion) string")(lambda version: version.normalized or version.version),
    "GitVersion": go("GitVersion(common.KubeVersion) string")(lambda version: version.version),
}


class VersionSet(Slice):
    """API versions and kinds: `apps/v1`, `apps/v1/Deployment`."""

    __slots__ = ("_all",)

    go_methods: ClassVar[Mapping[str, Function]] = {}

    def __init__(self, versions: Iterable[str]) -> None:
        super().__init__("common.VersionSet", versions)
        self._all = frozenset(self)

    def has(self, version: str) -> bool:
        return version in self._all


VersionSet.go_methods = {"Has": go("Has(common.VersionSet, string) bool")(VersionSet.has)}


@dataclass(frozen=True, slots=True)
class BuildInfo(Struct):
    """What helm tells of itself."""

    version: str = HELM_VERSION
    git_commit: str = ""
    git_tree_state: str = ""
    go_version: str = GO_VERSION
    kube_client_version: str = KUBE_CLIENT_VERSION

    go_type: ClassVar[str] = "version.BuildInfo"
    go_fields: ClassVar[Mapping[str, str]] = {
        "Version": "version",
        "GitCommit": "git_commit",
        "GitTreeState": "git_tree_state",
        "GoVersion": "go_version",
        "KubeClientVersion": "kube_client_version",
    }

    def json_form(self) -> dict[str, Any]:
        told = {
            "version": self.version,
            "git_commit": self.git_commit,
            "git_tree_state": self.git_tree_state,
            "go_version": self.go_version,
            "kube_client_version": self.kube_client_version,
        }
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True)
class Capabilities(Struct):
    """What the cluster can do."""

    kube_version: KubeVersion
    api_versions: VersionSet
    helm_version: BuildInfo = field(default_factory=BuildInfo)

    go_type: ClassVar[str] = "*common.Capabilities"
    go_fields: ClassVar[Mapping[str, str]] = {
        "KubeVersion": "kube_version",
        "APIVersions": "api_versions",
        "HelmVersion": "helm_version",
    }


_VERSION = re.compile(r"\s*v?([0-9]+(?:\.[0-9]+)*)(.*)\Z", re.DOTALL)


def kube_version(text: str = KUBE_VERSION) -> KubeVersion:
    """The version out of its text, `1.33` or `v1.33.2-gke.5`. Raises `GoError` for what is none."""
    found = _VERSION.match(text)
    if not found:
        raise GoError(f'could not parse "{text}" as version')
    numbers = found[1].split(".")
    if len(numbers) < 2:
        raise GoError(f'illegal version string "{text}"')
    for number in numbers:
        if len(number) > 1 and number[0] == "0":
            raise GoError(f'illegal zero-prefixed version component "{number}" in "{text}"')
    version = text if text.startswith("v") else "v" + text
    return KubeVersion(version, "v" + found[1], numbers[0], numbers[1])


def capabilities(version: str = KUBE_VERSION, api_versions: Iterable[str] = (), *, more: bool = True) -> Capabilities:
    """Capabilities without a cluster: the default API versions (unless `more` is False) and those given."""
    known = DEFAULT_API_VERSIONS if more else ()
    return Capabilities(kube_version(version), VersionSet([*known, *api_versions]))


# ---- maps ------------------------------------------------------------------------------------------------------------


def release(name: str, namespace: str, revision: int = 1, *, upgrade: bool = False) -> dict[str, Any]:
    """`.Release`."""
    return {
        "Name": name,
        "Namespace": namespace,
        "IsUpgrade": upgrade,
        "IsInstall": not upgrade,
        "Revision": revision,
        "Service": "Helm",
    }


def template(name: str, base_path: str) -> Values:
    """`.Template`: the path of the file that is rendered, and of the folder `templates` it lies in."""
    return Values({"Name": name, "BasePath": base_path})


#: The fields of `.Chart` in the order of Chart.yaml's documentation, with the key there and what stands for nothing.
CHART_FIELDS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("APIVersion", "apiVersion", ""),
    ("Name", "name", ""),
    ("Version", "version", ""),
    ("KubeVersion", "kubeVersion", ""),
    ("Description", "description", ""),
    ("Type", "type", ""),
    ("Keywords", "keywords", ()),
    ("Home", "home", ""),
    ("Sources", "sources", ()),
    ("Dependencies", "dependencies", ()),
    ("Maintainers", "maintainers", ()),
    ("Icon", "icon", ""),
    ("AppVersion", "appVersion", ""),
    ("Deprecated", "deprecated", False),
    ("Annotations", "annotations", None),
    ("Condition", "condition", ""),
    ("Tags", "tags", ""),
)


def chart(metadata: Mapping[str, Any], *, is_root: bool) -> dict[str, Any]:
    """`.Chart` out of what Chart.yaml says (read with the types of its fields)."""
    shown: dict[str, Any] = {}
    for name, key, empty in CHART_FIELDS:
        value = metadata.get(key)
        if name in ("Dependencies", "Maintainers"):
            shown[name] = [_shown(item, name) for item in value or ()]
        elif name == "Annotations":
            shown[name] = Map("map[string]string", value) if value else NilMap("map[string]string")
        elif empty == ():
            shown[name] = list(value or ())
        else:
            shown[name] = empty if value is None else value
    shown["IsRoot"] = is_root
    return shown


_INNER_FIELDS: Final[dict[str, tuple[tuple[str, str, Any], ...]]] = {
    "Maintainers": (("Name", "name", ""), ("Email", "email", ""), ("URL", "url", "")),
    "Dependencies": (
        ("Name", "name", ""),
        ("Version", "version", ""),
        ("Repository", "repository", ""),
        ("Condition", "condition", ""),
        ("Tags", "tags", ()),
        ("Enabled", "enabled", False),
        ("ImportValues", "import-values", ()),
        ("Alias", "alias", ""),
    ),
}


def _shown(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        shown: list(item.get(key) or ()) if empty == () else item.get(key, empty)
        for shown, key, empty in _INNER_FIELDS[name]
    }
