"""Helm's engine over Go's templates: the order of parsing and running, its own functions, and its form of errors.

`render` takes templates as `Source`s and gives what they write. The functions of `functions/` and those here make one library,
whose parsed texts are kept from one rendering to the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from heeler.packages.objects import Values
from heeler.packages.template.execution import INVALID, TOO_LONG, ExecError, Run, RunFunction
from heeler.packages.template.formatting import quote
from heeler.packages.template.parse import ParseError
from heeler.packages.template.templates import Library, Templates
from heeler.packages.template.values import GoError, Map, signature

SET_NAME: Final = "gotpl"
"""What Helm calls its set of templates, and each text that `tpl` is given."""

MAX_EXPANSIONS: Final = 200
"""How often `tpl` may be under way at once. Helm takes all memory on a text that expands itself."""

MAX_INCLUDES: Final = 1000
"""How often a template may be included while it is included."""

NO_VALUE: Final = "<no value>"
"""What a template writes for nil. Helm takes it out of all text, whoever wrote it."""

_START, _END = "HELM_ERR_START", "HELM_ERR_END"
_OWN_WORDS: Final = re.compile(f"{_START}(.*){_END}", re.DOTALL)
"""The message of `fail` and `required` within the errors of all that called them."""

Lookup = Callable[[str, str, str, str], Mapping[str, Any]]
"""apiVersion, kind, namespace, name -> the object or list; empty if there is none."""

Watch = Callable[[Any, Any, Any, str], None]
"""Frame, node, map, name: a field is read (`template/execution.py`)."""

Log = Callable[[str, str, Mapping[str, str]], None]
"""Level, message, attributes: a line of Helm's log."""


class RenderError(GoError):
    """A template that can't be read or run, in Helm's form. The template's own error is the `__cause__`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A template: its path in the chart's tree (`app/templates/a.yaml`), its text, the folder `app/templates`, and its dot.

    `top` is shared by the templates of a chart, so that what one sets in it the next one sees.
    """

    path: str
    text: str
    base_path: str
    top: dict[str, Any]


@dataclass(slots=True)
class _Rendering(Run):
    """What Helm's own functions share while a chart is rendered."""

    set: Templates = field(default_factory=lambda: Templates({}))
    lookup: Lookup | None = None
    enable_dns: bool = False
    lint: bool = False
    log: Log | None = None
    including: dict[str, int] = field(default_factory=dict)
    expanding: int = 0
    """How many calls of `tpl` are under way."""


def render(
    sources: Sequence[Source],
    *,
    strict: bool = False,
    lookup: Lookup | None = None,
    enable_dns: bool = False,
    lint: bool = False,
    log: Log | None = None,
    watch: Watch | None = None,
) -> dict[str, str]:
    """Text by path, in the order in which templates ran; partials (`_name`) write nothing of their own.

    `strict` refuses missing keys. `lint` lets `required` and `fail` pass and tells `log` of them. `watch` is told what is
    read of maps that aren't plain ones. Raises RenderError.
    """
    # What lies high in the tree of folders is parsed last and therefore wins; the same order decides who runs first.
    ordered = sorted(sources, key=lambda source: (source.path.count("/"), source.path), reverse=True)
    templates = Templates(library(), SET_NAME)
    for source in ordered:
        try:
            templates.parse(source.path, source.text)
        except ParseError as error:
            raise _parse_error(source.path, error) from error
    tops = {id(source.top): _named(source.top) for source in ordered}
    rendered: dict[str, str] = {}
    until = 0.0  # of all templates together
    for source in ordered:
        if source.path.rpartition("/")[2].startswith("_"):
            continue
        top = tops[id(source.top)]
        top["Template"] = Values({"Name": source.path, "BasePath": source.base_path})
        run = _Rendering(
            templates=templates.by_name,
            missing_key_error=strict,
            set=templates,
            lookup=lookup,
            enable_dns=enable_dns,
            lint=lint,
            log=log,
            watch=watch,
            until=until,
        )
        until = run.until
        try:
            text = templates.execute(source.path, top, run)
        except GoError as error:
            raise _exec_error(source.path, error) from error
        rendered[source.path] = text.replace(NO_VALUE, "")
    return rendered


def _named(top: dict[str, Any]) -> dict[str, Any]:
    return top if isinstance(top, Map) else Values(top)


@cache
def library() -> Library:
    """All functions that a chart's templates may call, and the texts that were parsed for them."""
    from heeler.packages.functions import FUNCTIONS

    return Library(OWN, FUNCTIONS)


# --- functions


def _own(text: str) -> Callable[[Callable[..., Any]], RunFunction]:
    name, parameters, variadic, result = signature(text)
    return lambda call: RunFunction(name, parameters, variadic, result, call)


@_own("include(string, interface {}) string")
def include(run: _Rendering, name: str, data: Any) -> str:
    """What another template writes."""
    if run.late:
        raise GoError(TOO_LONG)
    depth = run.including.get(name, 0)
    if depth > MAX_INCLUDES:
        raise GoError(f"rendering template has a nested reference name: {name}: unable to execute template")
    run.including[name] = depth + 1
    text = run.set.execute(name, data, run)
    run.including[name] = depth
    return text


@_own("tpl(string, interface {}) string")
def tpl(run: _Rendering, text: str, data: Any) -> str:
    """What a text writes as a template. It sees all that is defined, and what it defines is seen by itself only."""
    if "{{" not in text:
        return text.replace(NO_VALUE, "")
    if run.late:
        raise GoError(TOO_LONG)
    if run.expanding >= MAX_EXPANSIONS:
        raise GoError("tpl is called within itself too often")
    outer = run.set
    inner = outer.clone()
    try:
        main = inner.parse(SET_NAME, text)
    except ParseError as error:
        raise GoError(f"cannot parse template {quote(text)}: {error}") from error
    out: list[str] = []
    run.set, run.templates = inner, inner.by_name
    run.expanding += 1
    try:
        main.execute(run, INVALID if data is None else data, out)
    except GoError as error:
        raise GoError(f"error during tpl function execution for {quote(text)}: {error}") from error
    finally:
        run.set, run.templates = outer, outer.by_name
        run.expanding -= 1
    return "".join(out).replace(NO_VALUE, "")


@_own("required(string, interface {}) interface {}")
def required(run: _Rendering, warning: str, value: Any) -> Any:
    if value is not None and not (isinstance(value, str) and not value):
        return value
    if run.lint:
        _warn(run, "WARN", "missing required value" if value is None else "missing required values", warning)
        return ""
    raise GoError(f"{_START}{warning}{_END}")


@_own("fail(string) string")
def fail(run: _Rendering, message: str) -> str:
    if run.lint:
        _warn(run, "INFO", "funcMap fail", message)
        return ""
    raise GoError(f"{_START}{message}{_END}")


def _warn(run: _Rendering, level: str, message: str, words: str) -> None:
    if run.log is not None:
        run.log(level, message, {"message": words})


@_own("lookup(string, string, string, string) map[string]interface {}")
def lookup(run: _Rendering, api_version: str, kind: str, namespace: str, name: str) -> Mapping[str, Any]:
    """An object of the cluster; nothing where there is none to ask."""
    if run.lookup is None or run.lint:
        return {}
    return run.lookup(api_version, kind, namespace, name)


@_own("getHostByName(string) string")
def get_host_by_name(run: _Rendering, name: str) -> str:
    """An address of the host, if that is allowed: otherwise charts would render differently here and there."""
    if not run.enable_dns:
        return ""
    import socket

    try:
        return socket.gethostbyname(name)
    except OSError:
        return ""


OWN: Final = {function.name: function for function in (include, tpl, required, fail, lookup, get_host_by_name)}


# --- errors


def _parse_error(path: str, error: ParseError) -> RenderError:
    parts = str(error).split(": ")
    if len(parts) == 1:
        return RenderError(f"parse error in ({path}): {error}")
    return RenderError(f"parse error at ({parts[1]}): {parts[-1]}")


def _exec_error(path: str, error: GoError) -> RenderError:
    """Helm's form: what `fail` and `required` say alone; a step a paragraph where all steps are templates; else as it is."""
    if not isinstance(error, ExecError):
        return RenderError(str(error))
    words = str(error)
    if own := _OWN_WORDS.search(words.split(": ", 2)[-1]):
        return RenderError(f"execution error at ({error.place}): {own.group(1)}")
    steps: list[str] = []
    current: BaseException | None = error
    while current is not None:
        if isinstance(current, ExecError):
            step = _step(current)
        elif str(current).startswith("template: no template "):
            step = f"{current}\n"
        else:
            return RenderError(words)
        if not steps or steps[-1] != step:
            steps.append(step)
        current = current.__cause__
    return RenderError("".join(steps).strip())


def _step(error: ExecError) -> str:
    message = error.message
    if error.__cause__ is not None:  # what was called tells its own story below
        message = message.removesuffix(str(error.__cause__)).rstrip()
    return f"{error.place}\n  executing {quote(error.name)} at <{error.context}>:\n    {message}\n"
