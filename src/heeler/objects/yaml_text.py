"""YAML as Kubernetes' tools read and write it: YAML 1.1's booleans, no dates, no tags, bounded aliases.

PyYAML's C parser does the work and is imported at the first use. Differences from its own rules, which upstream's parser
has: `1e3` is a number, `y` and `n` are booleans, times stay text, a key may not come twice.
"""

from __future__ import annotations

import base64
import math
import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

_DIGITS = list("-+0123456789")
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


def _reads_as_other(loader: Any, text: str, tag: str = "") -> bool:
    """Would plain text be read as a number, a boolean, null or a time (as what `tag` says, if it is given)?"""
    for guess, pattern in loader.yaml_implicit_resolvers.get(text[:1], ()):
        if guess != _TAG + "merge" and tag in ("", guess.removeprefix(_TAG)) and pattern.match(text):
            return True
    return not tag and bool(_MOMENT.match(text))


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
        re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9_]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
        list("-+0123456789."),
    )
    # what Go reads beyond YAML 1.1: digits in groups before a point, octal numbers as YAML 1.2 has them
    Loader.add_implicit_resolver(
        _TAG + "float", re.compile(r"^[-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9_]+)?$"), _DIGITS
    )
    Loader.add_implicit_resolver(_TAG + "int", re.compile(r"^[-+]?0o[0-7_]+$"), _DIGITS)
    Loader.add_implicit_resolver(_TAG + "int", re.compile(r"^[-+]?0[xX][0-9a-fA-F_]+$"), _DIGITS)
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
    return _scalar(loader, node)


_TAG = "tag:yaml.org,2002:"
_WORDS: dict[str, tuple[str, Any]] = {
    **dict.fromkeys("y Y yes Yes YES true True TRUE on On ON".split(), ("bool", True)),
    **dict.fromkeys("n N no No NO false False FALSE off Off OFF".split(), ("bool", False)),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), ("null", None)),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), ("float", "NaN")),
    **{sign + word: ("float", "+Inf") for sign in ("", "+") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), ("float", "-Inf")),
}
_INTEGER = re.compile(r"([-+]?)(?:0x([0-9a-f]+)|0b([01]+)|0o?([0-7]+)|(0|[1-9][0-9]*))", re.IGNORECASE)
_BASES = (16, 2, 8, 10)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
#: Digits that 64 bits may have, with sign and base; longer ones are no integers.
_MAX_DIGITS = 70


def _scalar(loader: Any, node: Any) -> Any:
    """What stands for one value. A tag that was written must fit; what the parser only guessed is looked at again."""
    tag, text = node.tag.removeprefix(_TAG), node.value
    if tag == "binary":
        try:
            return base64.b64decode("".join(text.split()), validate=True).decode("utf-8", "replace")
        except ValueError:
            raise YamlError("yaml: !!binary value contains invalid base64 data") from None
    if tag == "timestamp" and _MOMENT.match(text):
        return text
    if tag not in ("bool", "null", "int", "float", "timestamp"):
        return text
    kind, value = _resolved(text)
    guessed = not node.style and _reads_as_other(loader, text, tag)
    if kind == tag or guessed or (kind, tag) == ("int", "float"):
        if isinstance(value, str) and kind == "float":
            raise YamlError(f"json: unsupported value: {value}")
        return value
    raise YamlError(f"yaml: cannot decode !!{kind} `{text}` as a !!{tag}")


def _resolved(text: str) -> tuple[str, Any]:
    """The kind of a plain text and its value; whole numbers are integers, as far as JSON writes them so."""
    word = _WORDS.get(text)
    if word is not None:
        return word
    digits = text.replace("_", "")
    found = _INTEGER.fullmatch(digits) if len(digits) <= _MAX_DIGITS else None
    if found is not None:
        base = next(at for at, part in enumerate(found.groups()[1:]) if part is not None)
        number = int(found[base + 2], _BASES[base]) * (-1 if found[1] == "-" else 1)
        if -(2**63) <= number < (2**63 if found[1] else 2**64):
            return "int", number
    if _FLOAT.fullmatch(digits):
        value = float(digits)
        if math.isfinite(value):
            return "float", int(Decimal(repr(value))) if value.is_integer() and abs(value) < 1e21 else value
    return "str", text


def _mapping(loader: Any, node: Any, budget: list[int], duplicates: list[str]) -> dict[str, Any]:
    """Sorted, as the JSON is that Go makes of YAML: the first fault is told."""
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
    return dict(sorted(out.items()))


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
