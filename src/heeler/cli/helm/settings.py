"""Where Helm keeps things and what its global flags and variables say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heeler.cli.helm.frame import Call


def home(environment: Mapping[str, str]) -> str:
    return environment.get("HOME", "")


def _base(environment: Mapping[str, str], kind: str, fallback: str) -> str:
    """The folder for `kind` (CACHE, CONFIG or DATA): Helm's own variable, the desktop's, or below the home folder."""
    if own := environment.get(f"HELM_{kind}_HOME"):
        return own
    return f"{environment.get(f'XDG_{kind}_HOME') or _join(home(environment), fallback)}/helm"


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def cache_home(environment: Mapping[str, str]) -> str:
    return _base(environment, "CACHE", ".cache")


def config_home(environment: Mapping[str, str]) -> str:
    return _base(environment, "CONFIG", ".config")


def data_home(environment: Mapping[str, str]) -> str:
    return _base(environment, "DATA", ".local/share")


def _places(environment: Mapping[str, str]) -> dict[str, str]:
    cache, config = cache_home(environment), config_home(environment)
    return {
        "HELM_CONTENT_CACHE": environment.get("HELM_CONTENT_CACHE") or f"{cache}/content",
        "HELM_REGISTRY_CONFIG": environment.get("HELM_REGISTRY_CONFIG") or f"{config}/registry/config.json",
        "HELM_REPOSITORY_CACHE": environment.get("HELM_REPOSITORY_CACHE") or f"{cache}/repository",
        "HELM_REPOSITORY_CONFIG": environment.get("HELM_REPOSITORY_CONFIG") or f"{config}/repositories.yaml",
    }


def places(call: Call) -> dict[str, str]:
    """What the placeholders of help texts stand for."""
    environment = call.environment
    colour = "never" if environment.get("NO_COLOR") else environment.get("HELM_COLOR") or "auto"
    return {**_places(environment), "HOME": home(environment), "HELM_COLOR": colour}


def place(call: Call, flag: str) -> str:
    """`content-cache`, `registry-config`, `repository-cache` or `repository-config`: by flag, variable or default."""
    if call.flags.changed(flag):
        return call.flags.text(flag)
    return _places(call.environment)[f"HELM_{flag.upper().replace('-', '_')}"]


def namespace(call: Call) -> str:
    """The namespace that a call is about: by flag, variable, kubeconfig, or `default`."""
    named = call.flags.text("namespace") if call.flags.changed("namespace") else call.environment.get("HELM_NAMESPACE")
    return named or _from_kubeconfig(call) or "default"


def _from_kubeconfig(call: Call) -> str:
    given = (
        call.flags.text("kubeconfig") or call.environment.get("KUBECONFIG") or f"{home(call.environment)}/.kube/config"
    )
    contexts: dict[str, str] = {}
    current = call.flags.text("kube-context") or call.environment.get("HELM_KUBECONTEXT") or ""
    for file in given.split(":"):
        path = call.path(file)
        if not file or not path.is_file():
            continue
        import yaml

        try:
            read = yaml.safe_load(path.read_bytes())
        except (OSError, yaml.YAMLError):
            continue
        if not isinstance(read, dict):
            continue
        current = current or str(read.get("current-context") or "")
        for entry in read.get("contexts") or ():
            if isinstance(entry, dict) and isinstance(entry.get("context"), dict):
                contexts.setdefault(str(entry.get("name")), str(entry["context"].get("namespace") or ""))
    return contexts.get(current, "")
