"""Rules about templates: that they render, that what they render is YAML, and about the objects in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.decode import Record, decode
from heeler.packages.charts.lint import ERROR, WARNING, Message, Options
from heeler.packages.charts.load import Log, load
from heeler.packages.charts.render import ReleaseInfo, render_lint, render_values
from heeler.packages.charts.values import Table, coalesce
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

RELEASE = "test-release"
_FOLDER = "templates/"


@dataclass(slots=True)
class _Metadata:
    namespace: str = ""
    name: str = ""


@dataclass(slots=True)
class Document:
    """What rules look at of an object."""

    api_version: str = ""
    kind: str = ""
    metadata: _Metadata = field(default_factory=_Metadata)


_METADATA = Record(
    "k8sYamlMetadata", _Metadata, {"namespace": ("namespace", str), "name": ("name", str)}, "rules.k8sYamlMetadata"
)
_DOCUMENT = Record(
    "k8sYamlStruct",
    Document,
    {"apiVersion": ("api_version", str), "kind": ("kind", str), "metadata": ("metadata", _METADATA)},
    "rules.k8sYamlStruct",
)


def documents(text: str) -> Iterator[Document | None]:
    """The objects of a text of several; None for an empty one. Raises `GoError`.

    As Kubernetes' reader: a text that begins with `{` is JSON, object after object, as long as that goes well.
    """
    at = 0
    if text.lstrip().startswith("{"):
        while True:
            at += len(text) - at - len(text[at:].lstrip())
            end, fault = _json_end(text, at)
            if fault is not None:
                if at == len(text) - len(text.lstrip()) and _is_yaml(text):
                    break  # a flow mapping
                raise fault
            yield _document(text[at:end])
            at = end + len(text) - end - len(text[end:].lstrip())
            if at == len(text):
                return
            if text.startswith("---", at):
                break
    for part in read.documents(text[at:]):
        yield _document(part)


def _document(text: str) -> Document | None:
    value = read.parse(text)
    return None if value is None else decode(value, _DOCUMENT)


def _is_yaml(text: str) -> bool:
    try:
        for part in read.documents(text):
            read.parse(part)
            break
    except GoError:
        return False
    return True


def _json_end(text: str, at: int) -> tuple[int, GoError | None]:
    """(where the JSON value that begins at `at` ends, what is wrong with it)."""
    try:
        return json.JSONDecoder().raw_decode(text, at)[1], None
    except (ValueError, RecursionError):
        from heeler.packages.charts.schema.documents import syntax_fault

        said, offset = syntax_fault(text[at:])
        return at, GoError(said if said == "unexpected EOF" else f"json: offset {at + offset}: {said}")


def check(folder: Path, options: Options, log: Log) -> Iterator[Message]:
    place = folder / "templates"
    if not place.exists():
        yield Message(WARNING, _FOLDER, "directory does not exist")
        return
    if not place.is_dir():
        yield Message(ERROR, _FOLDER, "not a directory")
        return
    try:
        chart = load(folder, log)
        values = _values(chart, options, log)
        if values is None:
            return
        rendered = _rendered(chart, values, options, log)
    except (ChartError, GoError) as error:
        yield Message(ERROR, _FOLDER, str(error))
        return
    for file in chart.templates:
        try:
            yield from _file(chart, file.name, rendered, options)
        except GoError as error:  # as Helm, which looks at no more files then
            yield Message(ERROR, file.name, f"unable to parse YAML: {error}")
            return


def _values(chart: Chart, options: Options, log: Log) -> Table | None:
    """The values with the chart's own, or nothing where they don't fit: Helm's lint is silent then."""
    try:
        dependencies.process(chart, options.values, log)
        return coalesce(chart, options.values, lambda message: log("INFO", message))
    except ChartError:
        return None


def _rendered(chart: Chart, values: Table, options: Options, log: Log) -> dict[str, str]:
    from heeler.packages import objects

    release = ReleaseInfo(RELEASE, options.namespace)
    known = objects.capabilities(options.kube_version or objects.KUBE_VERSION)
    # Helm brings values together a second time here, so that a default that the caller set to null is back
    values = render_values(chart, values, log, skip_schema=options.skip_schema)
    return render_lint(chart, values, release, known, log)


def _file(chart: Chart, name: str, rendered: dict[str, str], options: Options) -> Iterator[Message]:
    """What is wrong with one file. Raises `GoError` where it isn't YAML."""
    extension = re.search(r"\.[^./]*$", name)
    ending = extension[0] if extension else ""
    if ending not in (".yaml", ".yml", ".tpl", ".txt"):
        valid = "Valid extensions are .yaml, .yml, .tpl, or .txt"
        yield Message(ERROR, name, f"file extension '{ending}' not valid. {valid}")
        return
    content = rendered.get(f"{chart.full_path}/{name}", "")
    if ending not in (".yaml", ".yml") or not content.strip():
        return
    if first := _indented(content):
        said = f"document starts with an illegal indent: {json.dumps(first, ensure_ascii=False)}"
        yield Message(WARNING, name, f"{said}, which may cause parsing problems")
    for document in documents(content):
        if document is not None:
            yield from _object(name, document, content, options)


def _indented(content: str) -> str:
    """The first line that isn't blank, if it is indented."""
    for line in content.split("\n"):
        if line.strip():
            return line if line[0] in " \t" else ""
    return ""


def _object(name: str, document: Document, content: str, options: Options) -> Iterator[Message]:
    if text := _name_fault(document):
        shown = json.dumps(document.metadata.name, ensure_ascii=False)
        yield Message(
            WARNING,
            name,
            f"object name does not conform to Kubernetes naming requirements: {shown}: metadata.name: "
            f"Invalid value: {shown}: {text}",
        )
    if text := deprecation(document.api_version, document.kind, options.kube_version):
        yield Message(WARNING, name, text)
    if document.kind in ("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"):
        if "matchLabels" not in content and "matchExpressions" not in content:
            shown = json.dumps(document.metadata.name, ensure_ascii=False)
            yield Message(
                ERROR,
                name,
                f"a {document.kind} must contain matchLabels or matchExpressions, and {shown} does not",
            )
    if document.kind == "List" and _kept_in_list(content):
        yield Message(ERROR, name, "annotation 'helm.sh/resource-policy' within List objects are ignored")


def _kept_in_list(content: str) -> bool:
    value = read.parse(content)
    items = value.get("items") if isinstance(value, dict) else None
    for item in items if isinstance(items, list) else ():
        metadata = item.get("metadata") if isinstance(item, dict) else None
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        if isinstance(annotations, dict) and annotations.get("helm.sh/resource-policy"):
            return True
    return False


# ---- names -----------------------------------------------------------------------------------------------------------

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"


def _name_fault(document: Document) -> str:
    """What is wrong with an object's name, by its kind."""
    name = document.metadata.name
    match document.kind.lower():
        case "certificatesigningrequest":
            return ""
        case "role" | "clusterrole" | "rolebinding" | "clusterrolebinding":
            return _segment_fault(name)
        case "service":
            return _pattern_fault(
                name,
                _LABEL_1035,
                63,
                "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
                "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
                f"validation is '{_LABEL_1035}')",
            )
        case "namespace":
            if "." in name:
                return "must not contain dots"
            return _pattern_fault(
                name,
                _LABEL,
                63,
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
                "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
                f"'{_LABEL}')",
            )
        case _:
            return _pattern_fault(
                name,
                _SUBDOMAIN,
                253,
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
                "must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
                f"'{_SUBDOMAIN}')",
            )


def _pattern_fault(name: str, pattern: str, most: int, said: str) -> str:
    if len(name) > most:
        return f"must be no more than {most} characters"
    return "" if re.fullmatch(pattern, name) else said


def _segment_fault(name: str) -> str:
    if name in (".", ".."):
        return f"may not be '{name}'"
    for sign in "/%":
        if sign in name:
            return f"may not contain '{sign}'"
    return ""


# ---- deprecated APIs -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _deprecations() -> dict[tuple[str, str], tuple[int, int, str]]:
    """(apiVersion, kind) -> the minors from which it is deprecated and gone (0: not known), and what to use instead."""
    table = {}
    for line in (Path(__file__).parent / "deprecations.txt").read_text().splitlines():
        version, kind, since, gone, *instead = line.split(" ", 4)
        table[version, kind] = (int(since), int(gone), instead[0] if instead else "")
    return table


def deprecation(api_version: str, kind: str, kube_version: str) -> str:
    """What Helm says of a deprecated API when charts are meant for `kube_version` (empty: Helm's own)."""
    found = _deprecations().get((api_version, kind))
    if found is None:
        return ""
    from heeler.packages import objects

    since, gone, instead = found
    target = objects.kube_version(kube_version or objects.KUBE_VERSION)
    if (int(target.major), int(re.sub(r"\D.*", "", target.minor))) < (1, since):
        return ""
    text = f"{api_version} {kind} is deprecated in v1.{since}+"
    if gone:
        text += f", unavailable in v1.{gone}+"
    return text + (f"; use {instead}" if instead else "")


def is_deprecated(api_version: str, kind: str) -> bool:
    """Is it one that Kubernetes has deprecated, or will?"""
    return (api_version, kind) in _deprecations()
