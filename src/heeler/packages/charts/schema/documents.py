"""Schema documents: reading JSON, holding it against its metaschema, and finding what references mean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

from heeler.packages.charts.chart import ChartError

ROOT = "file:///values.schema.json"
LATEST = "https://json-schema.org/draft/2020-12/schema"
#: Metaschemas by their addresses without scheme and fragment, with their year as a number that compares.
DRAFTS = {
    "json-schema.org/draft-04/schema": 4,
    "json-schema.org/draft-06/schema": 6,
    "json-schema.org/draft-07/schema": 7,
    "json-schema.org/draft/2019-09/schema": 2019,
    "json-schema.org/draft/2020-12/schema": 2020,
    "json-schema.org/schema": 2020,
}

MAX_FILE_BYTES = 5 * 1024 * 1024
#: Seconds that a schema of the network may take.
NETWORK_SECONDS = 15.0
"""How large another file may be that a schema refers to."""

_MAPS = ("properties", "patternProperties", "dependentSchemas", "dependencies")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_ONES = (
    *("not", "if", "then", "else", "items", "additionalItems", "additionalProperties", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)


class Number:
    """A number of a schema, as it is written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


@lru_cache(maxsize=1)
def metaschemas() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(
        (Path(__file__).parent / "metaschemas.json").read_bytes(), parse_int=Number, parse_float=Number
    )
    return read


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_no_constant)


def parse(data: bytes) -> Any:
    """JSON. Raises `ChartError` in Go's words."""
    text = data.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise ChartError("EOF")
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise ChartError(_fault(text, error)) from None
    if text[end:].strip(" \t\r\n"):
        raise ChartError("invalid character after top-level value")
    return value


def syntax_fault(text: str) -> tuple[str, int]:
    """(what is wrong with a JSON text, how many characters are read when that is seen: 0 at its end)."""
    try:
        _DECODER.raw_decode(text)
    except json.JSONDecodeError as error:
        said = _fault(text, error)
        return said, 0 if said == "unexpected EOF" else error.pos + 1
    except (ValueError, RecursionError) as error:
        return _fault(text, error), 1
    return "", 0


def _char(char: str) -> str:
    return {"'": r"'\''", '"': "'\"'", "\n": r"'\n'", "\t": r"'\t'", "\r": r"'\r'"}.get(char, f"'{char}'")


def _fault(text: str, error: Exception) -> str:
    """Why `text` doesn't begin with a JSON value."""
    if isinstance(error, RecursionError):
        return "exceeded max depth"
    if not isinstance(error, json.JSONDecodeError):
        return f"invalid character {_char(str(error)[0])} looking for beginning of value"
    if error.pos >= len(text) or error.msg.startswith("Unterminated"):
        return "unexpected EOF"
    char = _char(text[error.pos])
    if error.msg.startswith("Expecting property name") or error.msg.startswith(
        "Illegal trailing comma before end of obj"
    ):
        at = error.pos if text[error.pos] != "," else error.pos + len(re.match(r",\s*", text[error.pos :])[0])  # type: ignore[index]
        return f"invalid character {_char(text[at])} looking for beginning of object key string"
    if error.msg.startswith("Expecting ':'"):
        return f"invalid character {char} after object key"
    if error.msg.startswith("Expecting ','"):
        where = "array element" if _in_list(text[: error.pos]) else "object key:value pair"
        return f"invalid character {char} after {where}"
    if error.msg.startswith("Expecting value"):
        return _literal_fault(text, error.pos)
    return f"invalid character {char} in string literal"


def _literal_fault(text: str, at: int) -> str:
    for word in ("true", "false", "null"):
        if text[at] == word[0]:
            for offset, wanted in enumerate(word):
                if at + offset >= len(text):
                    return "unexpected EOF"
                if text[at + offset] != wanted:
                    return f"invalid character {_char(text[at + offset])} in literal {word} (expecting '{wanted}')"
    return f"invalid character {_char(text[at])} looking for beginning of value"


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^",{}\[\]]+|.', re.DOTALL)


def _in_list(text: str) -> bool:
    open_ = []
    for token in _TOKEN.findall(text):
        if token in ("[", "{"):
            open_.append(token)
        elif token in ("]", "}") and open_:
            open_.pop()
    return bool(open_) and open_[-1] == "["


class Documents:
    """The documents of one schema and those that it refers to."""

    def __init__(self) -> None:
        self.resources: dict[str, Any] = {}
        self.anchors: dict[tuple[str, str], Any] = {}
        self.dynamic: dict[tuple[str, str], Any] = {}
        self._base: dict[int, str] = {}
        self._draft: dict[int, int] = {}
        self._resolved: dict[tuple[str, str], Any] = {}
        self._alive: list[Any] = []

    def compile(self, data: bytes) -> Any:
        """The schema in `data`, ready to be evaluated. Raises `ChartError`."""
        schema = parse(data)
        self._add(ROOT, schema)
        self._check_references(schema)
        return schema

    def base(self, schema: Any) -> str:
        return self._base.get(id(schema), ROOT)

    def draft(self, schema: Any) -> int:
        return self._draft.get(id(schema), 2020)

    def resolve(self, schema: Any, reference: str) -> Any:
        """What `reference` in `schema` means. Raises `ChartError`."""
        base = self.base(schema)
        key = (base, reference)
        if key not in self._resolved:
            self._resolved[key] = self._find(urljoin(base, reference))
        return self._resolved[key]

    def _find(self, address: str) -> Any:
        url, fragment = urldefrag(address)
        resource = self._resource(url)
        if not fragment:
            return resource
        fragment = unquote(fragment)
        if not fragment.startswith("/"):
            found = self.anchors.get((url, fragment))
            if found is None:
                raise ChartError(f'anchor in "{address}" not found in schema "{url}"')
            return found
        here = resource
        for step in fragment[1:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and step in here:
                here = here[step]
            elif isinstance(here, list) and step.isdigit() and int(step) < len(here):
                here = here[int(step)]
            else:
                raise ChartError(f'json-pointer in "{address}" not found')
        if id(here) not in self._base and isinstance(here, dict):
            self._index(here, url, self.draft(resource))
        return here

    def _resource(self, url: str) -> Any:
        if url not in self.resources:
            self._add(url, self._load(url), checked=url in metaschemas())
        return self.resources[url]

    def _load(self, url: str) -> Any:
        if url in metaschemas():
            return metaschemas()[url]
        scheme, _, rest = url.partition("://")
        failing = f'failing loading "{url}": '
        if scheme not in ("http", "https", "file"):
            raise ChartError(f'{failing}no URLLoader registered for "{url}"')
        try:
            return parse(_from_file(unquote(rest)) if scheme == "file" else _from_network(url))
        except ChartError as error:
            raise ChartError(failing + str(error)) from None

    def _add(self, url: str, schema: Any, *, checked: bool = False) -> None:
        meta = LATEST
        if isinstance(schema, dict) and isinstance(named := schema.get("$schema"), str):
            meta = named.rstrip("#")
        draft = DRAFTS.get(re.sub(r"^https?://", "", meta))
        if draft is None:
            self._load(meta)
            raise ChartError(f'schema "{meta}" is no metaschema that heeler knows')
        self.resources[url] = schema
        self._alive.append(schema)
        self._index(schema, url, draft)
        if not checked:
            self._check(url, schema, draft)

    def _check(self, url: str, schema: Any, draft: int) -> None:
        """Hold a schema against its metaschema."""
        from heeler.packages.charts.schema.evaluate import Evaluation, show

        name = next(name for name, year in DRAFTS.items() if year == draft)
        address = f"{'http' if draft < 2019 else 'https'}://{name}"
        faults = Evaluation(self, metaschema=True).check(self._resource(address), schema)
        if faults:
            said = show(faults).rstrip("\n")
            raise ChartError(
                f"\"{url}#\" is not valid against metaschema: jsonschema validation failed with '{address}#'\n{said}"
            )

    def _index(self, schema: Any, base: str, draft: int) -> None:
        """Note the base address and draft of everything in a document, its embedded resources and its anchors."""
        stack = [(schema, base)]
        while stack:
            here, base = stack.pop()
            if isinstance(here, list):
                stack += [(item, base) for item in here]
            if not isinstance(here, dict):
                continue
            own = here.get("id" if draft == 4 else "$id")
            if isinstance(own, str) and (draft >= 2019 or "$ref" not in here):
                joined, fragment = urldefrag(urljoin(base, own))
                if fragment:
                    self.anchors[joined, fragment] = here
                else:
                    base = joined
                    self.resources.setdefault(base, here)
            for name, table in (("$anchor", self.anchors), ("$dynamicAnchor", self.dynamic)):
                if isinstance(anchor := here.get(name), str):
                    table[base, anchor] = here
                    self.anchors[base, anchor] = here
            self._base[id(here)], self._draft[id(here)] = base, draft
            stack += [(item, base) for item in here.values() if isinstance(item, dict | list)]

    def _check_references(self, schema: Any) -> None:
        """Resolve every reference that can be reached, so that a broken one is told before values are looked at."""
        seen: set[int] = set()
        stack = [schema]
        while stack:
            here = stack.pop()
            if not isinstance(here, dict) or id(here) in seen:
                continue
            seen.add(id(here))
            if isinstance(reference := here.get("$ref"), str):
                stack.append(self.resolve(here, reference))
                if self.draft(here) <= 7:
                    continue
            stack += _below(here)


def _below(schema: dict[str, Any]) -> Iterator[Any]:
    for name in _MAPS:
        if isinstance(found := schema.get(name), dict):
            yield from found.values()
    for name in _LISTS:
        if isinstance(found := schema.get(name), list):
            yield from found
    for name in _ONES:
        if isinstance(found := schema.get(name), dict):
            yield found


def _from_file(path: str) -> bytes:
    """Raises `ChartError`."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ChartError(f"open {path}: {(error.strerror or '').lower()}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ChartError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return data


def _from_network(url: str) -> bytes:
    """What a web server has there, as Helm asks for it: whoever doesn't want that has --skip-schema-validation. Raises
    `ChartError`."""
    from http.client import responses

    from heeler.packages.repositories.web import Web, WebError

    try:
        answer = Web(timeout=NETWORK_SECONDS).get(url, limit=MAX_FILE_BYTES)
    except WebError as error:
        raise ChartError(f"HTTP request failed for {url}: {error}") from None
    if answer.status != 200:
        raise ChartError(f"HTTP request to {url} returned status {answer.status} ({responses.get(answer.status, '')})")
    return answer.body
