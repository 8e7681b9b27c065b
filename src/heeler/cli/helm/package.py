"""`helm package`: charts into archives."""

from __future__ import annotations

import os
import re
from pathlib import Path

from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.charts import dependencies
from heeler.packages.charts.chart import Chart, ChartError
from heeler.packages.charts.load import load_for_release
from heeler.packages.charts.render import check_version
from heeler.packages.charts.save import save
from heeler.packages.charts.versions import Version


def package(call: Call) -> int:
    flags = call.flags
    if not call.arguments:
        raise HelmError("need at least one argument, the path to the chart")
    if flags.on("sign"):
        if not flags.text("key"):
            raise HelmError("--key is required for signing a package")
        if not flags.text("keyring"):
            raise HelmError("--keyring is required for signing a package")
    for given in call.arguments:
        path = Path(os.path.normpath(call.path(given)))
        if not path.exists():
            raise HelmError(f"stat {given}: no such file or directory")
        if flags.on("dependency-update"):
            from heeler.cli.helm.dependency import update_chart

            update_chart(call, str(path), quiet=True)
        try:
            shown = _package(call, path)
        except ChartError as error:
            raise HelmError(str(error)) from None
        call.write(f"Successfully packaged chart and saved it to: {shown}\n")
    return 0


def _package(call: Call, path: Path) -> str:
    flags = call.flags
    if not path.is_dir():
        lacking = path / "Chart.yaml"
        raise ChartError(f"unable to detect chart at {lacking}: open {lacking}: not a directory")
    chart = load_for_release(path, call.log)
    check_version(chart)
    if version := flags.text("version"):
        chart.metadata.version = _checked(version)
    elif chart.metadata.version:
        _checked(chart.metadata.version)
    if app_version := flags.text("app-version"):
        chart.metadata.app_version = app_version
    dependencies.check(chart)
    given = flags.text("destination")
    folder = call.path("" if given in ("", ".") else given)
    try:
        target = save(chart, folder, _moment(call))
    except ChartError as error:
        said = str(error).replace(str(folder), given) if given not in ("", ".") and not given.startswith("/") else error
        raise ChartError(f"failed to save: {said}") from None
    if flags.on("sign"):
        _sign(call, chart, target)
    return str(target) if given in ("", ".") else os.path.normpath(f"{given}/{target.name}")


def _sign(call: Call, chart: Chart, archive: Path) -> None:
    """Write the archive's provenance beside it. Raises `HelmError`."""
    from heeler.packages.charts.metadata import as_map
    from heeler.packages.yaml.write import dump

    sign_archive(call, dump(as_map(chart.metadata)), archive)


def sign_archive(call: Call, metadata: str, archive: Path) -> Path:
    """Sign an archive and what is said of it; the provenance file. Raises `HelmError`."""
    from heeler.base.files import write_atomic
    from heeler.cli.helm.fetching import keyring, said, secret
    from heeler.packages.repositories.provenance import ProvenanceError, message, sign

    flags = call.flags
    file = keyring(call)
    given = flags.text("passphrase-file")

    def asked(user: str) -> str:
        return secret(call, f'Password for key "{user}" >  ', end="\n") if not given else read(given)

    def read(name: str) -> str:
        data = call.stdin() if name == "-" else call.path(name).read_bytes()
        return data.split(b"\n", 1)[0].removesuffix(b"\r").decode("utf-8", "surrogateescape")

    target = Path(f"{archive}.prov")
    try:
        if given and given != "-":
            read(given)  # it must be there even where the key isn't locked
        text = sign(message(metadata, archive.name, archive.read_bytes()), file.read_bytes(), flags.text("key"), asked)
        write_atomic(target, text.encode("utf-8", "surrogateescape"), 0o644)
    except ProvenanceError as error:
        raise HelmError(said(call, error)) from None
    except OSError as error:
        name = next((one for one in (flags.text("keyring"), given) if str(call.path(one)) == error.filename), None)
        raise HelmError(f"open {name or error.filename}: {(error.strerror or '').lower()}") from None
    return target


def _checked(version: str) -> str:
    try:
        Version.parse(version)
    except ValueError as error:
        raise ChartError(str(error)) from None
    return version


def _moment(call: Call) -> float | None:
    """The moment that all members get, if the caller wants archives that don't depend on files' moments."""
    given = call.environment.get("SOURCE_DATE_EPOCH")
    if not given:
        return None
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", given):
        raise ChartError(f'strconv.ParseInt: parsing "{given}": invalid syntax')
    return float(given)
