"""`helm version`: the Helm whose behaviour this is, so that what asks for it (plugins, scripts) finds what it expects."""

from __future__ import annotations

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages import objects

VERSION = "v4.3.1"


def version(call: Call) -> int:
    from heeler.packages.template.formatting import sprintf
    from heeler.packages.template.values import GoError

    info = objects.BuildInfo(
        VERSION, go_version=objects.GO_VERSION, kube_client_version=objects.KUBE_CLIENT_VERSION, git_tree_state="clean"
    )
    if text := call.flags.text("template"):
        from heeler.packages.template.templates import Library, Templates

        templates = Templates(Library({}), "_")
        try:
            templates.parse("_", text)
            call.write(templates.execute("_", info))
        except GoError as error:
            raise HelmError(str(error)) from None
        return 0
    call.write((info.version if call.flags.on("short") else sprintf("%#v", info)) + "\n")
    return 0
