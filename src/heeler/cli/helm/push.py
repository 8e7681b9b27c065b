"""`helm push`: a chart's archive, with its provenance if it has one, into a registry."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from heeler.cli.helm.fetching import check_tls, login, registry, said
from heeler.cli.helm.flags import HelmError
from heeler.cli.helm.frame import Call
from heeler.packages.charts.chart import Chart
from heeler.packages.charts.load import load
from heeler.packages.repositories import oci
from heeler.packages.repositories.fetch import FAULTS, reported

#: What a chart's annotations may not overrule: the registry shows them as the chart's own.
_OWN = ("org.opencontainers.image.title", "org.opencontainers.image.version")


def push(call: Call) -> int:
    given, remote = call.arguments[:2]
    check_tls(call)
    path = call.path(given)
    if "://" not in remote:
        raise HelmError('scheme prefix missing from remote (e.g. "oci://")')
    if not remote.startswith(oci.SCHEME):
        raise HelmError(f'scheme "{remote.partition("://")[0]}" not supported')
    if not path.exists():
        raise HelmError(f"{given}: no such file")
    if path.is_dir():
        raise HelmError("cannot push directory, must provide chart archive (.tgz)")
    try:
        reference, digest = _push(call, path, remote)
    except (*FAULTS, OSError) as error:
        raise HelmError(said(call, error).replace(f"'{path}'", f"'{given}'")) from None
    call.write(reported("Pushed", reference, digest))
    return 0


def _push(call: Call, path: Path, remote: str) -> tuple[str, str]:
    """(reference, digest) of what was sent."""
    from heeler.cli.helm.printing import ordered_json
    from heeler.packages.charts.metadata import as_map

    chart = load(path, call.log)
    archive = path.read_bytes()
    provenance = Path(f"{path}.prov")
    signed = provenance.read_bytes() if provenance.is_file() else b""
    given = login(call)
    client = registry(call, given if given.name and given.password else None)
    reference = oci.reference(f"{remote.rstrip('/')}/{chart.name}:{chart.metadata.version}")
    config = ordered_json(as_map(chart.metadata)).encode("utf-8", "surrogateescape")
    digest = client.push(reference, config, archive, signed, notes(chart, path.stat().st_mtime))
    return str(reference), digest


def notes(chart: Chart, modified: float) -> dict[str, str]:
    """The annotations of a chart in a registry, in the names of OCI."""
    metadata = chart.metadata
    made = {
        "org.opencontainers.image.description": metadata.description,
        "org.opencontainers.image.title": metadata.name,
        "org.opencontainers.image.version": metadata.version,
        "org.opencontainers.image.url": metadata.home,
        "org.opencontainers.image.source": metadata.sources[0] if metadata.sources else "",
        "org.opencontainers.image.created": datetime.fromtimestamp(modified, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "org.opencontainers.image.authors": ", ".join(
            f"{one.name} ({one.email})" if one.email else one.name for one in metadata.maintainers if one is not None
        ),
    }
    out = {name: text for name, text in made.items() if text}
    return out | {name: text for name, text in metadata.annotations.items() if name not in _OWN}
