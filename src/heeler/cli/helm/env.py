"""`helm env`: where Helm keeps things and what its variables say."""

from __future__ import annotations

import sys
from pathlib import Path

from heeler.cli.helm.frame import Call
from heeler.cli.helm.settings import cache_home, config_home, data_home, namespace, place


def env(call: Call) -> int:
    shown = values(call)
    if call.arguments:
        call.write(f"{shown.get(call.arguments[0], '')}\n")
        return 0
    for name in sorted(shown):
        call.write(f'{name}="{shown[name]}"\n')
    return 0


def _program() -> str:
    """The program that plugins call: `heeler-helm` beside what runs now, if it is installed there."""
    for running in (sys.argv[0], sys.executable):
        found = Path(running).parent / "heeler-helm"
        if found.is_file():
            return str(found.absolute())
    return sys.argv[0]


def values(call: Call) -> dict[str, str]:
    """What Helm's variables are, by name."""
    flags, environment = call.flags, call.environment

    def either(flag: str, name: str, default: str = "") -> str:
        return flags.text(flag) if flags.changed(flag) else environment.get(name) or default

    def switch(flag: str, name: str) -> str:
        on = flags.on(flag) or environment.get(name, "").lower() in ("1", "t", "true")
        return "true" if on else "false"

    return {
        "HELM_BIN": _program(),
        "HELM_BURST_LIMIT": either("burst-limit", "HELM_BURST_LIMIT", "100"),
        "HELM_CACHE_HOME": cache_home(environment),
        "HELM_CONFIG_HOME": config_home(environment),
        "HELM_CONTENT_CACHE": place(call, "content-cache"),
        "HELM_DATA_HOME": data_home(environment),
        "HELM_DEBUG": switch("debug", "HELM_DEBUG"),
        "HELM_KUBEAPISERVER": either("kube-apiserver", "HELM_KUBEAPISERVER"),
        "HELM_KUBEASGROUPS": ",".join(flags.many("kube-as-group")) or environment.get("HELM_KUBEASGROUPS", ""),
        "HELM_KUBEASUSER": either("kube-as-user", "HELM_KUBEASUSER"),
        "HELM_KUBECAFILE": either("kube-ca-file", "HELM_KUBECAFILE"),
        "HELM_KUBECONTEXT": either("kube-context", "HELM_KUBECONTEXT"),
        "HELM_KUBEINSECURE_SKIP_TLS_VERIFY": switch(
            "kube-insecure-skip-tls-verify", "HELM_KUBEINSECURE_SKIP_TLS_VERIFY"
        ),
        "HELM_KUBETLS_SERVER_NAME": either("kube-tls-server-name", "HELM_KUBETLS_SERVER_NAME"),
        "HELM_KUBETOKEN": either("kube-token", "HELM_KUBETOKEN"),
        "HELM_MAX_HISTORY": environment.get("HELM_MAX_HISTORY") or "10",
        "HELM_NAMESPACE": namespace(call),
        "HELM_PLUGINS": environment.get("HELM_PLUGINS") or f"{data_home(environment)}/plugins",
        "HELM_QPS": f"{float(either('qps', 'HELM_QPS', '0')):.2f}",
        "HELM_REGISTRY_CONFIG": place(call, "registry-config"),
        "HELM_REPOSITORY_CACHE": place(call, "repository-cache"),
        "HELM_REPOSITORY_CONFIG": place(call, "repository-config"),
    }
