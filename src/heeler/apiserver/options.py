"""The parameters of requests (CreateOptions, ListOptions and so on), checked in upstream's words.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/ and recorded answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from heeler.apiserver.call import Call
from heeler.objects import faults
from heeler.objects.faults import Fault
from heeler.objects.status import StatusError, bad_request, invalid

META = "meta.k8s.io"
#: Bytes of a field manager's name.
MAX_MANAGER = 128
INT64 = 2**63
_INT64_DIGITS = 19


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """`manager` is never empty: without fieldManager it is the program's name out of User-Agent."""

    dry_run: bool
    manager: str
    validation: str  # Ignore, Warn, Strict
    force: bool = False


def write_options(call: Call, kind: str, *, apply: bool = False) -> WriteOptions:
    """`kind` is CreateOptions, UpdateOptions or PatchOptions. Raises 400, 422."""
    found: list[Fault] = []
    dry_run = call.query.get("dryRun") or []
    manager = call.param("fieldManager")
    validation = call.param("fieldValidation")
    force = boolean(call, "force")
    if kind == "PatchOptions":
        if apply and not manager:
            found.append(faults.required("fieldManager", "is required for apply patch"))
        if not apply and "force" in call.query and call.param("force"):
            found.append(faults.forbidden("force", "may not be specified for non-apply patch"))
    found += manager_faults(manager)
    found += dry_run_faults(dry_run)
    if validation not in ("", "Ignore", "Warn", "Strict"):
        found.append(faults.not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    if found:
        raise invalid(kind, META, "", found)
    return WriteOptions(bool(dry_run), manager or _program(call), validation or "Warn", force)


def dry_run_faults(values: list[str]) -> list[Fault]:
    if values and any(v != "All" for v in values):
        return [faults.not_supported("dryRun", values, ("All",))]
    return []


def manager_faults(manager: str) -> list[Fault]:
    if len(manager.encode()) > MAX_MANAGER:
        return [faults.too_long("fieldManager", MAX_MANAGER)]
    if manager.isprintable():
        return []
    for position, char in enumerate(manager):
        if not char.isprintable():
            text = f"invalid character U+{ord(char):04X} (at position {len(manager[:position].encode())})"
            return [faults.invalid("fieldManager", manager, text)]
    return []


def _program(call: Call) -> str:
    """`kubectl/v1.37 (linux)` is known as `kubectl`."""
    name = call.headers.get("user-agent", "").split("/", 1)[0]
    if not name.isprintable():
        name = "".join(c for c in name if c.isprintable())
    return name[:MAX_MANAGER] or "unknown"


def boolean(call: Call, name: str) -> bool:
    """Anything but nothing, 0 and false counts as true."""
    values = call.query.get(name)
    return bool(values) and values[0].lower() not in ("", "0", "f", "false")  # type: ignore[index]


def tri_state(call: Call, name: str) -> bool | None:
    """A boolean that may be absent."""
    return boolean(call, name) if name in call.query else None


def integer(call: Call, name: str) -> int | None:
    """An int64 parameter, None when absent. Raises 400 in Go's words."""
    values = call.query.get(name)
    if not values:
        return None
    return parse_int(values[0])


def parse_int(text: str) -> int:
    """Go's ParseInt. Raises 400."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not digits.isascii() or not digits.isdigit():
        raise bad_request(f"strconv.ParseInt: parsing {faults.quote(text)}: invalid syntax")
    value = int(text) if len(digits.lstrip("0")) <= _INT64_DIGITS else INT64
    if not -INT64 <= value < INT64:
        raise bad_request(f"strconv.ParseInt: parsing {faults.quote(text)}: value out of range")
    return value


def parse_revision(text: str) -> int:
    """A resourceVersion of a request. Raises ValueError with Go's words."""
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"strconv.ParseUint: parsing {faults.quote(text)}: invalid syntax")
    if int(text) >= 2**64:
        raise ValueError(f"strconv.ParseUint: parsing {faults.quote(text)}: value out of range")
    return int(text)


def revision_fault(text: str, error: ValueError) -> str:
    return f"resourceVersion: Invalid value: {faults.quote(text)}: {error}"


@dataclass(frozen=True, slots=True)
class ListOptions:
    label_selector: str
    field_selector: str
    revision: str
    match: str
    limit: int
    continue_token: str
    timeout: int | None
    bookmarks: bool
    initial_events: bool | None


def list_options(call: Call, *, watch: bool) -> ListOptions:
    """Raises 400, 422."""
    options = ListOptions(
        label_selector=call.param("labelSelector"),
        field_selector=call.param("fieldSelector"),
        timeout=integer(call, "timeoutSeconds"),
        limit=integer(call, "limit") or 0,
        revision=call.param("resourceVersion"),
        match=call.param("resourceVersionMatch"),
        continue_token=call.param("continue"),
        bookmarks=boolean(call, "allowWatchBookmarks"),
        initial_events=tri_state(call, "sendInitialEvents"),
    )
    found = _watch_faults(options) if watch else _list_faults(options)
    if found:
        raise invalid("ListOptions", META, "", found)
    return options


def _list_faults(options: ListOptions) -> list[Fault]:
    path = "resourceVersionMatch"
    out = []
    if options.match:
        out += _list_match_faults(options, path)
    if options.initial_events is not None:
        out.append(faults.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return out


def _list_match_faults(options: ListOptions, path: str) -> list[Fault]:
    out = []
    if not options.revision:
        out.append(faults.forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if options.continue_token:
        out.append(faults.forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
    if options.match not in ("Exact", "NotOlderThan"):
        out.append(faults.not_supported(path, options.match, ("Exact", "NotOlderThan", "")))
    if options.match == "Exact" and options.revision == "0":
        out.append(faults.forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    return out


def _watch_faults(options: ListOptions) -> list[Fault]:
    path = "resourceVersionMatch"
    out = []
    if options.match and options.initial_events is None:
        out.append(
            faults.forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
        )
    if options.initial_events is not None:
        if options.match != "NotOlderThan":
            out.append(
                faults.forbidden(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
            )
        if options.match and options.match != "NotOlderThan":
            out.append(faults.not_supported(path, options.match, ("NotOlderThan",)))
    if options.continue_token:
        out.append(faults.forbidden(path, "resourceVersionMatch is forbidden when continue is provided"))
    return out


def unparsable_revision(text: str, error: ValueError) -> StatusError:
    """The odd 500 of a get or watch whose resourceVersion is no number."""
    return StatusError(500, "", revision_fault(text, error))
