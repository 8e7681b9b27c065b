"""`helm plugin`: plugins from folders and archives, installed, listed, packed, verified and removed.

What heeler doesn't do says so: plugins from version control and from registries, and those that run as WebAssembly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heeler.base.files import remove_tree, write_atomic
from heeler.cli.helm.fetching import said
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.cli.helm.plugins import folder, installed, run_hook
from heeler.cli.helm.printing import rows
from heeler.packages.plugins.archive import MAX_BYTES, name_of, pack, unpack
from heeler.packages.plugins.plugin import CLI, FILE, PlatformCommand, Plugin, PluginError, load

_ARCHIVES = (".tgz", ".tar.gz")
_CONTROLLED = (".git", "git@", "git+", "ssh://", "github.com/", "gitlab.com/", "bitbucket.org/")


def list_plugins(call: Call) -> int:
    kind = call.flags.text("type")
    listed = [
        (
            plugin.name,
            plugin.version,
            plugin.type,
            plugin.api_version,
            _provenance(call, plugin),
            plugin.source or "unknown",
        )
        for plugin in sorted(installed(call), key=lambda one: one.name)
        if kind in ("", plugin.type) and plugin.name not in call.arguments
    ]
    rows(call, ("NAME", "VERSION", "TYPE", "APIVERSION", "PROVENANCE", "SOURCE"), listed)
    return 0


def _provenance(call: Call, plugin: Plugin) -> str:
    """Whether the archive that a plugin came from is signed, as far as its folder tells."""
    own = _home(call) / plugin.name
    if own.is_symlink():
        return "local dev"
    if not own.is_dir():
        return "unknown"
    archive = _home(call) / f"{plugin.name}-{plugin.version}.tgz"
    return "signed" if archive.exists() and Path(f"{archive}.prov").exists() else "unsigned"


def _home(call: Call) -> Path:
    return call.path(folder(call).partition(":")[0])


# ---- install ---------------------------------------------------------------------------------------------------------


def install(call: Call) -> int:
    source = call.arguments[0]
    path = call.path(source)
    try:
        if path.is_dir():
            call.write("Installing plugin from local directory (development mode)\n")
            plugin = _link(call, path)
        elif source.endswith(_ARCHIVES) and (path.is_file() or source.startswith(("http://", "https://"))):
            plugin = _from_archive(call, source)
        else:
            raise HelmError(_unsupported(source))
    except PluginError as error:
        raise HelmError(str(error)) from None
    run_hook(call, plugin, "install")
    call.write(f"Installed plugin: {plugin.name}\n")
    return 0


def _unsupported(source: str) -> str:
    if source.startswith("oci://"):
        return f"heeler installs no plugins from registries yet: {source}"
    if any(sign in source for sign in _CONTROLLED):
        return f"heeler installs no plugins from version control yet: clone {source} and install its folder"
    return (
        f'cannot get information about plugin source "{source}" (if it\'s a local directory, does it exist?), '
        "last error was: Cannot detect VCS"
    )


def _refuse_present(call: Call, target: Path) -> None:
    if target.exists() or target.is_symlink():
        call.log("WARN", "plugin already exists", path=target, error=None)
        raise HelmError("plugin already exists")


def _link(call: Call, path: Path) -> Plugin:
    """A folder is used where it lies."""
    real = Path(os.path.abspath(path))
    target = _home(call) / real.name
    if not (real / FILE).is_file():
        raise HelmError("plugin metadata (plugin.yaml) missing")
    _refuse_present(call, target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(real)
    return load(target)


def _from_archive(call: Call, source: str) -> Plugin:
    wanted = call.flags.on("verify")
    call.write("Verifying plugin signature...\n" if wanted else "WARNING: Skipping plugin signature verification\n")
    archive, signed = _fetched(call, source, wanted)
    if wanted:
        call.write(_verified(call, source.rsplit("/", 1)[-1], archive, signed))
    name, version = name_of(archive)
    target = _home(call) / name
    _refuse_present(call, target)
    try:
        unpack(archive, target)
        if signed:
            write_atomic(_home(call) / f"{name}-{version}.tgz", archive, 0o644)
            write_atomic(_home(call) / f"{name}-{version}.tgz.prov", signed, 0o644)
    except OSError as error:
        raise HelmError(f"{error.filename or target}: {(error.strerror or '').lower()}") from None
    return load(target)


def _fetched(call: Call, source: str, wanted: bool) -> tuple[bytes, bytes]:
    """(an archive, its provenance, b"" if it has none) from here or a web server. Raises `HelmError`."""
    from heeler.cli.helm.fetching import login, tls
    from heeler.packages.repositories.fetch import FAULTS, MAX_PROVENANCE_BYTES, FetchError, get
    from heeler.packages.repositories.web import Web

    if not source.startswith(("http://", "https://")):
        provenance = Path(f"{call.path(source)}.prov")
        return call.path(source).read_bytes(), provenance.read_bytes() if wanted and provenance.is_file() else b""
    try:
        web = Web(tls(call))
        archive = get(web, source, login(call), MAX_BYTES, call.log)
    except FAULTS as error:
        text = said(call, error)
        raise HelmError(
            f"failed to get verification data: failed to download plugin: {text}" if wanted else text
        ) from None
    if not wanted:
        return archive, b""
    try:
        return archive, get(web, f"{source}.prov", login(call), MAX_PROVENANCE_BYTES, call.log)
    except FetchError:
        return archive, b""
    except FAULTS as error:
        raise HelmError(f"failed to get verification data: {said(call, error)}") from None


def _verified(call: Call, name: str, archive: bytes, signed: bytes) -> str:
    """What is printed of who vouches for a plugin's archive. Raises `HelmError`."""
    try:
        if not signed:
            raise HelmError("no provenance file (.prov) found")
        return _checked(call, name, archive, signed)
    except HelmError as error:
        raise HelmError(f"plugin verification failed: {error}") from None


def _checked(call: Call, name: str, archive: bytes, signed: bytes) -> str:
    from heeler.cli.helm.fetching import keyring
    from heeler.cli.helm.verify import shown
    from heeler.packages.repositories.provenance import ProvenanceError, verify

    ring = keyring(call)
    try:
        return shown(verify(name, archive, signed, ring.read_bytes()), "Plugin")
    except ProvenanceError as error:
        raise HelmError(str(error)) from None
    except OSError as error:
        raise HelmError(said(call, HelmError(f"open {ring}: {(error.strerror or '').lower()}"))) from None


# ---- the others ------------------------------------------------------------------------------------------------------


def uninstall(call: Call) -> int:
    if not call.arguments:
        raise HelmError("please provide plugin name to uninstall")
    known = {plugin.name: plugin for plugin in installed(call)}
    faults = []
    for name in call.arguments:
        if (plugin := known.get(name)) is None:
            faults.append(f"plugin: {name} not found")
            continue
        run_hook(call, plugin, "delete")
        remove_tree(plugin.folder)
        for file in _home(call).glob(f"{name}-{plugin.version}.tgz*"):
            file.unlink()
        call.write(f"Uninstalled plugin: {name}\n")
    if faults:
        raise HelmError("\n".join(faults))
    return 0


def update(call: Call) -> int:
    """What was installed from a folder or an archive has no source that could be asked, as with Helm."""
    if not call.arguments:
        raise HelmError("please provide plugin name to update")
    known = {plugin.name: plugin for plugin in installed(call)}
    faults = []
    for name in call.arguments:
        if (plugin := known.get(name)) is None:
            faults.append(f"plugin: {name} not found")
            continue
        real = plugin.folder.resolve()
        call.log("WARN", "cannot get information about plugin source", location=real, error="Cannot detect VCS")
        if (real / ".git").exists():
            faults.append(
                f"failed to update plugin {name}, got error (heeler updates no plugins in version control yet)"
            )
        else:
            faults.append(f"failed to update plugin {name}, got error (cannot get information about plugin source)")
    if faults:
        raise HelmError("\n".join(faults))
    return 0


def verify(call: Call) -> int:
    given = call.arguments[0]
    path = call.path(given)
    if not path.exists():
        raise HelmError(f"stat {given}: no such file or directory")
    if path.is_dir():
        raise HelmError("directory verification not supported - only plugin tarballs can be verified")
    provenance = Path(f"{path}.prov")
    if not provenance.is_file():
        lacking = f"stat {given}.prov: no such file or directory"
        raise HelmError(f"could not find provenance file {given}.prov: {lacking}")
    call.write(_checked(call, path.name, path.read_bytes(), provenance.read_bytes()))
    return 0


def package(call: Call) -> int:
    from heeler.cli.helm.package import sign_archive
    from heeler.packages.yaml.write import dump

    given = call.arguments[0]
    path = call.path(given)
    if not path.exists():
        raise HelmError(f"stat {given}: no such file or directory")
    try:
        plugin = load(path)
        data = pack(plugin)
    except PluginError as error:
        raise HelmError(f"invalid plugin directory: {error}".replace(str(path), os.path.normpath(given))) from None
    shown = os.path.normpath(f"{call.flags.text('destination') or '.'}/{plugin.name}-{plugin.version}.tgz")
    target = call.path(shown)
    signs = call.flags.on("sign")
    if signs:
        _check_keyring(call)
    else:
        call.write("WARNING: Skipping plugin signing. This is not recommended for plugins intended for distribution.\n")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, data, 0o644)
    except OSError as error:
        raise HelmError(f"open {shown}: {(error.strerror or '').lower()}") from None
    if signs:
        try:
            sign_archive(call, dump(signed_metadata(plugin)), target)
        except HelmError:
            target.unlink()
            raise
        call.write(f"Successfully signed. Signature written to: {shown}.prov\n")
    call.write(f"Successfully packaged plugin and saved it to: {shown}\n")
    return 0


def _check_keyring(call: Call) -> None:
    from heeler.cli.helm.fetching import keyring

    file = keyring(call)
    try:
        file.open("rb").close()
    except OSError as error:
        words = f"error reading from keyring: open {file}: {(error.strerror or '').lower()}"
        raise HelmError(said(call, HelmError(words))) from None


def signed_metadata(plugin: Plugin) -> Mapping[str, Any]:
    """What a plugin's provenance says of it, in Go's names of fields."""

    def listed(commands: tuple[PlatformCommand, ...]) -> list[dict[str, Any]] | None:
        return [
            {
                "OperatingSystem": one.os,
                "Architecture": one.architecture,
                "Command": one.command,
                "Args": list(one.arguments) or None,
            }
            for one in commands
        ] or None

    config: dict[str, Any] = {}
    if plugin.type == CLI:
        config = {"Usage": plugin.usage, "ShortHelp": plugin.short_help, "LongHelp": plugin.long_help}
        config["IgnoreFlags"] = plugin.ignores_flags
    return {
        "APIVersion": plugin.api_version,
        "Name": plugin.name,
        "Type": plugin.type,
        "Runtime": plugin.runtime,
        "Version": plugin.version,
        "SourceURL": plugin.source,
        "Config": config,
        "RuntimeConfig": {
            "PlatformCommand": listed(plugin.commands),
            "PlatformHooks": {name: listed(hook) for name, hook in plugin.hooks.items()} or None,
            "ProtocolCommands": None,
        },
    }
