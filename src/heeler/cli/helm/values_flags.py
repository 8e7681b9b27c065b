"""The caller's values: `-f` and the `--set` flags, in the order in which they count (not that of the command line)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.charts.chart import ChartError
from heeler.packages.charts.values import merge_maps, read_values

if TYPE_CHECKING:
    from heeler.packages.charts.origins import Layer


def read_file(call: Call, name: str) -> bytes:
    """A file that a flag names; `-` is standard input."""
    if name.strip() == "-":
        return call.stdin()
    if (scheme := name.partition("://")[0].lower()) in ("http", "https", "oci"):
        raise HelmError(f"heeler reads no values from {scheme} addresses yet: {name}")
    try:
        if not name:
            raise FileNotFoundError(2, "no such file or directory")
        return call.path(name).read_bytes()
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise HelmError(f"{'read' if isinstance(error, IsADirectoryError) else 'open'} {name}: {said}") from None


def collect(call: Call) -> dict[str, Any]:
    """What the caller's flags say, one over the other. Raises `HelmError`."""
    flags = call.flags
    values: dict[str, Any] = {}
    for name in flags.many("values"):
        data = read_file(call, name)
        try:
            values = merge_maps(values, read_values(data))
        except ChartError as error:
            raise HelmError(f"failed to parse {name}: {error}") from None
    if not any(flags.changed(name) for name in ("set", "set-json", "set-string", "set-file", "set-literal")):
        return values
    from heeler.packages.charts import set_flags

    for text in flags.many("set-json"):
        if text.strip().startswith("{"):
            values = merge_maps(values, _json_object(text))
        else:
            _apply("set-json", set_flags.set_json, values, text)
    for text in flags.many("set"):
        _apply("set", set_flags.set_typed, values, text)
    for text in flags.many("set-string"):
        _apply("set-string", set_flags.set_string, values, text)

    def content(name: str) -> str:
        return read_file(call, name).decode("utf-8", "surrogateescape")

    for text in flags.many("set-file"):
        _apply("set-file", set_flags.set_file, values, text, content)
    for text in flags.many("set-literal"):
        _apply("set-literal", set_flags.set_literal, values, text)
    return values


def _apply(flag: str, step: Callable[..., None], *arguments: Any) -> None:
    try:
        step(*arguments)
    except (ChartError, HelmError) as error:
        # of JSON Helm says only what was given
        said = f" {arguments[1]}" if flag == "set-json" else f": {error}"
        raise HelmError(f"failed parsing --{flag} data{said}") from None


def _json_object(text: str) -> dict[str, Any]:
    from heeler.packages.charts.json_values import decode_map

    try:
        return decode_map(text)
    except ChartError as error:
        raise HelmError(f"failed parsing --set-json data JSON: {text}") from error


def layers(call: Call) -> list[Layer]:
    """What `collect` brings together, one by one, the strongest last. What can't be read is left out: `collect` tells of it."""
    from heeler.packages.charts import set_flags
    from heeler.packages.charts.origins import Layer

    flags = call.flags
    found: list[Layer] = []
    for name in flags.many("values"):
        try:
            data = read_file(call, name)
            found.append(Layer("standard input" if name.strip() == "-" else name, read_values(data), data))
        except (ChartError, HelmError):
            continue

    def content(name: str) -> str:
        return read_file(call, name).decode("utf-8", "surrogateescape")

    def from_json(values: dict[str, Any], text: str) -> None:
        if text.strip().startswith("{"):
            values.update(_json_object(text))
        else:
            set_flags.set_json(values, text)

    steps: dict[str, Callable[[dict[str, Any], str], None]] = {
        "set-json": from_json,
        "set": set_flags.set_typed,
        "set-string": set_flags.set_string,
        "set-file": lambda values, text: set_flags.set_file(values, text, content),
        "set-literal": set_flags.set_literal,
    }
    for flag, step in steps.items():
        texts = flags.many(flag)
        for number, text in enumerate(texts, 1):
            values: dict[str, Any] = {}
            try:
                step(values, text)
            except (ChartError, HelmError):
                continue
            found.append(Layer(f"--{flag}" if len(texts) == 1 else f"--{flag} number {number}", values))
    return found
