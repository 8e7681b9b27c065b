"""`heeler simulate`: a scenario in simulated time, and what came of it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heeler.cli.flags import fail

if TYPE_CHECKING:
    from heeler.testing.simulation.play import Result
    from heeler.testing.simulation.scenario import Scenario

EPILOG = """\b
A scenario is a YAML file; all but the manifests may be left out:
  name: A rollout on a bad day
  duration: 12h
  nodes: [{count: 3, cpu: 4, memory: 16Gi}]
  manifests: [shop.yaml]
  faults:
    calls: {lost: 1%, busy: 1%, delay: 50ms}
    incidents: [{at: 2h, kind: crash-node, target: node-1, for: 10m}]
  actions: [{at: 1h, set-image: deployment/web, image: "web:2"}]
  expect: [{at: 3h, of: deployment/web, path: status.readyReplicas, is: 3}]

\b
Example: heeler simulate examples/simulation/shop.yaml --picture shop.svg
A folder or file of manifests is a scenario, too: heeler simulate manifests/"""


@click.command(epilog=EPILOG)
@click.argument("scenario", type=click.Path(exists=True, path_type=Path))
@click.option("--seed", type=click.IntRange(0, 2**31), default=None, help="Instead of the scenario's own.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 1_000_000),
    default=1,
    show_default=True,
    help="Try so many, until one breaks something; that one is reported.",
)
@click.option("--duration", default="", help='Instead of the scenario\'s own: "90m", "3 days".')
@click.option("-o", "--output", type=click.Choice(["text", "json", "svg"]), default="text", show_default=True)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), default=None, help="Write an SVG, too.")
@click.option("-v", "--verbose", is_flag=True, help="Log what the components say.")
def simulate(
    scenario: Path, seed: int | None, seeds: int, duration: str, output: str, picture: Path | None, verbose: bool
) -> None:
    """Simulate a cluster: your manifests, so many days, these faults, in seconds.

    The whole control plane runs in simulated time, with nodes on which nothing really runs. What must hold is checked at every
    write. The same seed gives the same history. Exits 1 if something that must hold was broken or an expectation wasn't met.
    """
    from heeler.testing.simulation.fields import ScenarioError
    from heeler.testing.simulation.scenario import load

    logging.getLogger("heeler").setLevel(logging.INFO if verbose else logging.CRITICAL)
    if verbose:
        logging.basicConfig(format="%(levelname).1s %(name)s: %(message)s", stream=sys.stderr)
    try:
        read = load(scenario, duration)
    except ScenarioError as error:
        faults = "".join(f"\n  {fault}" for fault in error.faults)
        fail(f"{scenario} can't be simulated as it is:{faults}", code=2)
    except OSError as error:
        fail(f"{scenario} can't be read: {error.strerror}", code=2)
    first = read.seed if seed is None else seed
    result = _found(read, range(first, first + seeds), scenario)
    if picture is not None:
        from heeler.testing.simulation.picture import svg

        try:
            picture.write_text(svg(result))
        except OSError as error:
            fail(f"{picture} can't be written: {error.strerror}")
    click.echo(_shown(result, output))
    if seeds > 1 and output == "text":
        click.echo(f"seeds {first} to {result.seed}: {'the last broke something' if result.broken else 'all held'}")
    sys.exit(int(result.broken))


def _found(scenario: Scenario, seeds: range, path: Path) -> Result:
    """The first result that is broken, or the last."""
    from heeler.base.memory import for_servers
    from heeler.objects.status import StatusError
    from heeler.testing.simulation.play import play

    for_servers()
    result = None
    for seed in seeds:
        try:
            result = play(scenario, seed)
        except (ValueError, StatusError) as error:
            fail(f"{path} can't be simulated as it is: {error}", code=2)
        if result.broken:
            break
    assert result is not None
    return result


def _shown(result: Result, output: str) -> str:
    from heeler.testing.simulation import report

    if output == "json":
        return json.dumps(report.as_json(result), indent=1)
    if output == "svg":
        from heeler.testing.simulation.picture import svg

        return svg(result).rstrip("\n")
    return report.text(result)
