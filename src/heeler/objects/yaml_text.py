"""YAML as Kubernetes' tools read and write it: YAML 1.1's booleans, no dates, no tags, bounded aliases.

PyYAML's C parser does the work and is imported at the first use. Differences from its own rules, which upstream's parser
has: `1e3` is a number, `y` and `n` are booleans, times stay text, a key may not come twice.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

#: Values that a document may unfold into through aliases.
MAX_VALUES = 1_000_000


class YamlError(ValueError):
    """The text isn't YAML that can be an object; the message says where."""


def load(text: str | bytes) -> tuple[Any, list[str]]:
    """The first document's value, and what was wrong but bearable (keys that come twice). Raises YamlError."""
    import yaml

    loader = _loader()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        budget = [MAX_VALUES]
        duplicates: list[str] = []
        value = _value(loader, node, budget, duplicates)
    except yaml.YAMLError as error:
        raise YamlError(_explain(error, text)) from error
    except RecursionError as error:
        raise YamlError("yaml: exceeded max depth") from error
    finally:
        loader.dispose()
    return value, duplicates


def dump(value: Any) -> str:
    """Sorted keys, block style, long lines folded, as kubectl and kube-apiserver print it."""
    import yaml

    options: Any = {"default_flow_style": False, "sort_keys": True, "allow_unicode": True, "width": 80}
    # after a text that ends in empty lines libyaml marks the document's end, which nobody needs
    return str(yaml.dump(value, Dumper=_dumper(), **options)).removesuffix("...\n")


@lru_cache(maxsize=1)
def _dumper() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    loader = _loader()

    class Dumper(base):  # type: ignore[misc]
        """SafeDumper that quotes as Go's does: double quotes for text that would read as something else; no anchors."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        tag = "tag:yaml.org,2002:str"
        if "\n" in value:
            return dumper.represent_scalar(tag, value, style="|")
        if value and _reads_as_other(loader, value):
            return dumper.represent_scalar(tag, value, style='"')
        return dumper.represent_scalar(tag, value, style='"' if not value else None)

    Dumper.add_representer(str, text)
    Dumper.yaml_implicit_resolvers = loader.yaml_implicit_resolvers
    return Dumper


_TIME = r"\d\d?:\d\d?:\d\d?(\.\d+)?"
#: A day, or a moment, as Go's reader knows them.
_MOMENT = re.compile(rf"\d{{4}}-\d\d?-\d\d?([Tt]{_TIME}(Z|[+-]\d\d:\d\d)| {_TIME})?$")


def _reads_as_other(loader: Any, text: str) -> bool:
    """Would plain text be read as a number, a boolean, null or a time?"""
    for tag, pattern in loader.yaml_implicit_resolvers.get(text[0], ()):
        if tag != "tag:yaml.org,2002:merge" and pattern.match(text):
            return True
    return bool(_MOMENT.match(text))


@lru_cache(maxsize=1)
def _loader() -> Any:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """SafeLoader with Go's resolver rules."""

    resolvers = {
        first: [
            (tag, pattern)
            for tag, pattern in rules
            if not tag.endswith((":timestamp", ":float", ":bool", ":value", ":yaml"))
        ]
        for first, rules in base.yaml_implicit_resolvers.items()
    }
    Loader.yaml_implicit_resolvers = resolvers
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
        list("-+0123456789."),
    )
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:bool",
        re.compile(r"^(?:y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$"),
        list("yYnNtTfFoO"),
    )
    return Loader


def _value(loader: Any, node: Any, budget: list[int], duplicates: list[str]) -> Any:
    import yaml

    budget[0] -= 1
    if budget[0] < 0:
        raise YamlError("yaml: document contains excessive aliasing")
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, budget, duplicates)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, item, budget, duplicates) for item in node.value]
    if node.tag == "tag:yaml.org,2002:bool":
        return node.value.lower() in ("y", "yes", "true", "on")
    if node.tag == "tag:yaml.org,2002:float":
        text = node.value.lower().lstrip("+")
        if "inf" in text or "nan" in text:
            raise YamlError("json: unsupported value: " + node.value)
        number = float(text)
        return int(number) if number.is_integer() and "." not in text and abs(number) < 2**53 else number
    return loader.construct_object(node, deep=True)


def _mapping(loader: Any, node: Any, budget: list[int], duplicates: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    merged: list[dict[str, Any]] = []
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            found = _value(loader, value_node, budget, duplicates)
            merged += [found] if isinstance(found, dict) else [m for m in found or () if isinstance(m, dict)]
            continue
        key = _value(loader, key_node, budget, duplicates)
        if isinstance(key, bool):
            key = "true" if key else "false"
        elif not isinstance(key, str):
            if isinstance(key, (dict, list)):
                raise YamlError("yaml: invalid map key")
            key = "null" if key is None else str(key)
        if key in out:
            line = key_node.start_mark.line + 1
            duplicates.append(f'line {line}: key "{key}" already set in map')
        out[key] = _value(loader, value_node, budget, duplicates)
    for source in merged:
        for key, value in source.items():
            out.setdefault(key, value)
    return out


def _explain(error: Any, text: str | bytes) -> str:
    """As Go's parser says it: lines count from 0 for the parser's faults, from 1 for the scanner's; the first isn't named."""
    import yaml

    if isinstance(error, yaml.composer.ComposerError) and "alias" in (error.problem or ""):
        return f"yaml: unknown anchor '{_anchor(error, text)}' referenced"
    marks = [getattr(error, name, None) for name in ("context_mark", "problem_mark")]
    line = next((mark.line for mark in marks if mark is not None and mark.line), 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    problem = getattr(error, "problem", None) or str(error)
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


def _anchor(error: Any, text: str | bytes) -> str:
    """The name of an alias that nothing stands for, out of the text: the parser's fault doesn't have it."""
    plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
    found = re.match(r"\*([^\s,\[\]{}]+)", plain[error.problem_mark.index :])
    return found[1] if found else ""
