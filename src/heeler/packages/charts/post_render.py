"""Post-rendering: rendered files become one stream of documents for a program, and what it answers becomes files again.

Each document carries the name of its file in an annotation. The annotation is put into and taken out of the text, so that
documents stay as templates wrote them, comments and all (Helm writes them anew, which only moves blanks). Where a text is too
odd for that, the document is written anew here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.indentation import tidied
from heeler.packages.charts.manifests import split
from heeler.packages.template.values import GoError
from heeler.packages.yaml import read

ANNOTATION = "postrenderer.helm.sh/postrender-filename"


def annotated(files: Mapping[str, str]) -> str:
    """The stream of all documents of rendered files. Raises `ChartError`."""
    out = []
    for path in sorted(files):
        for document in map(tidied, split(files[path])):
            try:
                value = _mapping(document)
                if value is not None:
                    out.append(_ended(_with(document, value, path)))
            except ChartError as error:
                raise ChartError(f"error merging manifests: parsing {path}: {error}") from None
    return "---\n".join(out)


def files_of(stream: str) -> dict[str, str]:
    """Files by their names, out of a stream of documents. Raises `ChartError`."""
    found: dict[str, list[str]] = {}
    number = 0
    for document in split(stream):
        try:
            value = _mapping(document)
        except ChartError as error:
            raise ChartError(f"error while parsing post rendered output: error parsing YAML: {error}") from None
        if value is None:
            continue
        for text, one in _items(document, value):
            path = _annotations(one).get(ANNOTATION)
            name = path if isinstance(path, str) and path else f"generated-by-postrender-{number}.yaml"
            found.setdefault(name, []).append(_ended(tidied(_without(text, one) if path else text)))
            number += 1
    return {name: "---\n".join(documents) for name, documents in found.items()}


def _ended(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"


def _items(document: str, value: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A document, or what it lists."""
    listed = value.get("items")
    if value.get("kind") in ("List", "ResourceList") and isinstance(listed, list):
        return [(_dumped(item), item) for item in listed if isinstance(item, dict)]
    return [(document, value)]


def _mapping(document: str) -> dict[str, Any] | None:
    """What a document says, None for one of comments only. Raises `ChartError` for what is no map."""
    try:
        value = read.parse(document)
    except GoError as error:
        raise ChartError(f"MalformedYAMLError: {str(error).removeprefix(read.CONVERT)}") from None
    if value is None:
        return None
    if not isinstance(value, dict):
        kind = "SequenceNode" if isinstance(value, list) else "ScalarNode"
        shown = document.strip("\n")
        raise ChartError(f"wrong node kind: expected MappingNode but got {kind}: node contents:\n{shown}\n")
    return value


def _annotations(value: Mapping[str, Any]) -> dict[str, Any]:
    metadata = value.get("metadata")
    found = metadata.get("annotations") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _dumped(value: Mapping[str, Any]) -> str:
    from heeler.packages.yaml.write import dump

    return dump(value)


def _same(text: str, value: Mapping[str, Any]) -> bool:
    try:
        return bool(read.parse(text) == value)
    except GoError:
        return False


# ---- in the text -----------------------------------------------------------------------------------------------------


def _with(text: str, value: dict[str, Any], path: str) -> str:
    """The document with the annotation."""
    metadata = value.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    wanted = {**value, "metadata": {**metadata, "annotations": {**_annotations(value), ANNOTATION: path}}}
    made = _inserted(text, path)
    return made if made is not None and _same(made, wanted) else _dumped(wanted)


def _without(text: str, value: dict[str, Any]) -> str:
    """The document without the annotation, and without what is empty then."""
    metadata = dict(value["metadata"])
    annotations = {key: item for key, item in _annotations(value).items() if key != ANNOTATION}
    metadata.pop("annotations")
    if annotations:
        metadata["annotations"] = annotations
    wanted = {**value, "metadata": metadata}
    if not metadata:
        wanted.pop("metadata")
    made = _removed(text, bool(annotations), bool(metadata))
    return made if made is not None and _same(made, wanted) else _dumped(wanted)


def _root(text: str) -> Any:
    """The document's node with the places of its parts, or None."""
    import yaml

    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _pair(node: Any, name: str) -> tuple[Any, Any] | None:
    """(key, value) of a map's entry."""
    pairs = node.value if node is not None and node.id == "mapping" else ()
    return next(((key, value) for key, value in pairs if key.id == "scalar" and key.value == name), None)


def _at(text: str, mark: Any) -> int:
    """Where a mark points to in the text."""
    start = 0
    for _ in range(mark.line):
        start = text.find("\n", start) + 1
    return start + int(mark.column)


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _inserted(text: str, path: str) -> str | None:
    root = _root(text)
    entry = f"{ANNOTATION}: {_quoted(path)}"
    metadata = _pair(root, "metadata")
    if metadata is None:
        return _first(text, root, "metadata", f"annotations: {{{entry}}}", nested=f"annotations:\n    {entry}")
    annotations = _pair(metadata[1], "annotations")
    if annotations is not None and annotations[1].id == "mapping" and annotations[1].value:
        return _before(text, annotations[1], entry)
    if annotations is not None or metadata[1].id != "mapping" or not metadata[1].value:
        return None
    if metadata[1].flow_style:
        return _before(text, metadata[1], f"annotations: {{{entry}}}")
    indent = " " * metadata[1].value[0][0].start_mark.column
    return _before(text, metadata[1], f"annotations:\n{indent}  {entry}")


def _first(text: str, root: Any, name: str, flow: str, *, nested: str) -> str | None:
    if root is None or root.id != "mapping" or not root.value:
        return None
    if root.flow_style:
        return _before(text, root, f"{name}: {{{flow}}}")
    indent = " " * root.value[0][0].start_mark.column
    block = nested.replace("\n", f"\n{indent}")
    return _before(text, root, f"{name}:\n{indent}  {block}")


def _before(text: str, mapping: Any, entry: str) -> str:
    """An entry in front of a map's first one."""
    key = mapping.value[0][0]
    at = _at(text, key.start_mark)
    if mapping.flow_style:
        return f"{text[:at]}{entry}, {text[at:]}"
    return f"{text[:at]}{entry}\n{' ' * key.start_mark.column}{text[at:]}"


def _removed(text: str, keeps_annotations: bool, keeps_metadata: bool) -> str | None:
    root = _root(text)
    metadata = _pair(root, "metadata")
    annotations = _pair(metadata[1], "annotations") if metadata is not None else None
    own = _pair(annotations[1], ANNOTATION) if annotations is not None else None
    if metadata is None or annotations is None or own is None:
        return None
    if keeps_annotations:
        return _cut(text, annotations[1], own)
    if keeps_metadata:
        return _cut(text, metadata[1], annotations)
    return _cut(text, root, metadata)


def _cut(text: str, mapping: Any, pair: tuple[Any, Any]) -> str:
    """The text without an entry of a map."""
    key, value = pair
    start, end = _at(text, key.start_mark), _at(text, value.end_mark)
    if mapping.flow_style:
        if (after := re.match(r"\s*,\s*", text[end:])) is not None:
            return text[:start] + text[end + after.end() :]
        return re.sub(r"\s*,\s*\Z", "", text[:start]) + text[end:]
    place = [one for one, _ in mapping.value].index(key)
    if place + 1 < len(mapping.value):
        return text[:start] + text[_at(text, mapping.value[place + 1][0].start_mark) :]
    line = text.rfind("\n", 0, start) + 1
    if (value.id == "mapping" and not value.flow_style) or (value.id == "scalar" and value.style in ("|", ">")):
        return text[:line] + text[end - value.end_mark.column :]  # it ends where the next thing begins
    rest = text.find("\n", end)
    return text[:line] + (text[rest + 1 :] if rest >= 0 else "")
