"""`helm get`: parts of a release's record."""

from __future__ import annotations

from typing import Any

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.printing import chart_metadata, computed, status_text, structured
from heeler.cli.helm.releases import find
from heeler.packages.releases.records import Release

_APPLY = {"ssa": "server-side apply", "csa": "client-side apply", "": "client-side apply (defaulted)"}


def _release(call: Call) -> Release:
    return find(call, call.arguments[0], call.flags.number("revision"))


def get_all(call: Call) -> int:
    release = _release(call)
    if template := call.flags.text("template"):
        call.write(_by_template(template, release))
    else:
        call.write(status_text(release, metadata=True, values=True, documents=True))
    return 0


def _by_template(text: str, release: Release) -> str:
    from heeler.packages.template.templates import Library, Templates
    from heeler.packages.template.values import GoError

    templates = Templates(Library({}), "_")
    try:
        templates.parse("_", text)
        return templates.execute("_", {"Release": _go_names(release)})
    except GoError as error:
        raise HelmError(str(error)) from None


def _go_names(release: Release) -> dict[str, Any]:
    """A release by the names that its fields have in Go."""
    from heeler.packages import objects

    return {
        "Name": release.name,
        "Namespace": release.namespace,
        "Version": release.version,
        "Config": release.config,
        "Manifest": release.manifest,
        "Labels": dict(release.labels),
        "ApplyMethod": release.apply_method,
        "Info": {
            "FirstDeployed": release.first_deployed,
            "LastDeployed": release.last_deployed,
            "Deleted": release.deleted,
            "Description": release.description,
            "Status": release.status,
            "Notes": release.notes,
        },
        "Chart": {
            "Metadata": objects.chart(release.chart_metadata, is_root=True),
            "Values": release.chart.get("values") or {},
        },
        "Hooks": [
            {"Name": hook.name, "Kind": hook.kind, "Path": hook.path, "Manifest": hook.manifest, "Weight": hook.weight}
            for hook in release.hooks
        ],
    }


def values(call: Call) -> int:
    release = _release(call)
    whole = call.flags.on("all")
    # a record without values has none, which isn't the same as an empty map
    shown = computed(release) if whole else release.config or None
    if call.flags.text("output") == "json":
        from heeler.packages.yaml import json as go_json

        call.write(go_json.dumps(shown) + "\n")
    elif not structured(call, shown):
        from heeler.packages.yaml.write import dump

        call.write(f"{'COMPUTED' if whole else 'USER-SUPPLIED'} VALUES:\n{dump(shown)}")
    return 0


def manifest(call: Call) -> int:
    call.write(_release(call).manifest + "\n")
    return 0


def hooks(call: Call) -> int:
    for hook in _release(call).hooks:
        call.write(f"---\n# Source: {hook.path}\n{hook.manifest}\n")
    return 0


def notes(call: Call) -> int:
    if text := _release(call).notes:
        call.write(f"NOTES:\n{text}\n")
    return 0


def metadata(call: Call) -> int:
    release = _release(call)
    chart = release.chart_metadata
    shown: dict[str, Any] = {
        "name": release.name,
        "chart": chart_metadata(release, "name"),
        "version": chart_metadata(release, "version"),
        "appVersion": chart_metadata(release, "appVersion"),
        "annotations": chart.get("annotations"),
        "labels": dict(release.labels),
        "dependencies": chart.get("dependencies"),
        "namespace": release.namespace,
        "revision": release.version,
        "status": release.status,
        "deployedAt": release.last_deployed,
        "applyMethod": release.apply_method,
    }
    kept = {key: value for key, value in shown.items() if value or key == "appVersion"}
    if structured(call, kept):
        return 0
    dependencies = [entry.get("alias") or entry.get("name") or "" for entry in shown["dependencies"] or () if entry]
    lines = (
        ("NAME", shown["name"]),
        ("CHART", shown["chart"]),
        ("VERSION", shown["version"]),
        ("APP_VERSION", shown["appVersion"]),
        ("ANNOTATIONS", _pairs(shown["annotations"] or {})),
        ("LABELS", _pairs(shown["labels"])),
        ("DEPENDENCIES", ",".join(dependencies)),
        ("NAMESPACE", shown["namespace"]),
        ("REVISION", shown["revision"]),
        ("STATUS", shown["status"]),
        ("DEPLOYED_AT", shown["deployedAt"]),
        ("APPLY_METHOD", _APPLY.get(release.apply_method, release.apply_method)),
    )
    call.write("".join(f"{title}: {value}\n" for title, value in lines))
    return 0


def _pairs(pairs: dict[str, str]) -> str:
    return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs))
