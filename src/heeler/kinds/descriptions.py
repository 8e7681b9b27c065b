"""What fields mean, in upstream's words, read at run time from the installed `kubernetes` package, if there is one.

Heeler carries no prose of Kubernetes; the client package does, under its own licence. Its model files are read as text
(importing them costs seconds), one file per type, at the first question. Without the package every answer is "".
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from heeler.kinds.column_texts import TEXTS
from heeler.kinds.presence import short_name
from heeler.kinds.types import field_breaks

#: A field of a generated model: its JSON name and its description, as Python literals.
_FIELD = re.compile(r'serialization_alias="([^"]+)", description=("(?:[^"\\]|\\.)*")')
#: A field without another name in JSON.
_PLAIN_FIELD = re.compile(
    r'^    (\w+): .*?Field\((?:(?!serialization_alias).)*?description=("(?:[^"\\]|\\.)*")', re.MULTILINE
)
#: A field in older versions of the package: a property with a docstring.
_OLD_PROPERTY = re.compile(
    r'    @property\n    def (\w+)\(self\):[^"]*"""Gets [^\n]*\n\n        (.*?)\s*(?:# noqa: E501)?\n\n', re.DOTALL
)


def description(path: str) -> str:
    """The description of `<short type>.<field>` ("core.v1.PodSpec.nodeName"), or "" if nothing tells."""
    owner, _, field = path.rpartition(".")
    return restored(_described(owner).get(field, ""), field_breaks(owner).get(field, []))


def describe(about: str) -> str:
    """A column's description: the text after "=", or that of the field it names."""
    if not about:
        return ""
    return about[1:] if about.startswith("=") else TEXTS.get(about) or description(about)


def of_type(openapi_name: str) -> dict[str, str]:
    """Field descriptions of a type by its OpenAPI name."""
    owner = short_name(openapi_name)
    breaks = field_breaks(owner)
    return {field: restored(text, breaks.get(field, [])) for field, text in _described(owner).items()}


@cache
def _models() -> Path | None:
    found = find_spec("kubernetes")
    for place in (found.submodule_search_locations or ()) if found is not None else ():
        folder = Path(place) / "client" / "models"
        if folder.is_dir():
            return folder
    return None


def snake(name: str) -> str:
    """`CSIDriverSpec` as `csi_driver_spec`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


@cache
def _described(owner: str) -> dict[str, str]:
    """Descriptions of a type's fields by JSON name."""
    models = _models()
    if models is None or owner.count(".") < 2:
        return {}
    head, version, name = owner.rsplit(".", 2)
    group = head.rpartition(".")[2]
    for file in (f"{version}_{snake(name)}.py", f"{group}_{version}_{snake(name)}.py"):
        path = models / file
        if path.is_file():
            return _fields(path.read_text(encoding="utf-8"))
    return {}


def _fields(text: str) -> dict[str, str]:
    out: dict[str, str] = {key: ast.literal_eval(value) for key, value in _PLAIN_FIELD.findall(text)}
    out |= {key: ast.literal_eval(value) for key, value in _FIELD.findall(text)}
    if out:
        return out
    names = dict(re.findall(r"'(\w+)': '(\w+)'", text.partition("attribute_map = {")[2].partition("}")[0]))
    return {names.get(key, key): value.strip() for key, value in _OLD_PROPERTY.findall(text)}


def restored(text: str, breaks: list[int]) -> str:
    """The text with its lines again: the package writes each line break as a space.

    `breaks` is the original's length and the offsets of its breaks; a text of another length is left as it is.
    """
    if not breaks or len(text) != breaks[0]:
        return text
    out = list(text)
    for at in breaks[1:]:
        out[at] = "\n"
    return "".join(out)
