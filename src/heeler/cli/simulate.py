"""`heeler simulate`: a scenario in simulated time, and what came of it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heeler.base.clock import SystemClock
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
    write. The same seed gives the same history. Exits 1 if something that must hold was broken, an expectation wasn't met or an
    action could not be done.
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
    result, progress = None, Progress(scenario.seconds)
    for seed in seeds:
        progress.seed = seed if len(seeds) > 1 else None
        try:
            result = play(scenario, seed, progress.tell)
        except (ValueError, StatusError) as error:
            fail(f"{path} can't be simulated as it is: {error}", code=2)
        if result.broken:
            break
    progress.end()
    assert result is not None
    return result


class Progress:
    """How far it is, to stderr: over and over on the same line of a terminal, else a line now and then."""

    def __init__(self, seconds: float) -> None:
        self.seed: int | None = None
        self._seconds, self._clock = seconds, SystemClock()
        self._terminal = sys.stderr.isatty()
        self._pause = 0.5 if self._terminal else 10.0
        self._next = self._clock.monotonic() + self._pause
        self._shown = False

    def tell(self, at: float) -> None:
        """So many simulated seconds have passed."""
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + self._pause
        from heeler.testing.simulation.report import moment

        seed = "" if self.seed is None else f"seed {self.seed}: "
        text = f"{seed}{moment(min(at, self._seconds))} of {moment(self._seconds)}"
        click.echo(f"\r\033[K{text}" if self._terminal else text, err=True, nl=not self._terminal)
        self._shown = True

    def end(self) -> None:
        if self._terminal and self._shown:
            click.echo("\r\033[K", err=True, nl=False)


def _shown(result: Result, output: str) -> str:
    from heeler.testing.simulation import report

    if output == "json":
        return json.dumps(report.as_json(result), indent=1)
    if output == "svg":
        from heeler.testing.simulation.picture import svg

        return svg(result).rstrip("\n")
    return report.text(result)
