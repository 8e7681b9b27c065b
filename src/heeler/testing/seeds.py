"""Runs many seeds of the simulation: a drawn workload under drawn faults, judged at every write and at the end.

    python -m heeler.testing.seeds --seeds 10000 [--first N] [--processes N] [--nodes N] [--minutes N] [-v]
    python -m heeler.testing.seeds --seed 4711 -v

Prints each failing seed with how to run it again; exits 1 if there was one. A seed gives the same history every time.
"""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from heeler.base import memory
from heeler.base.clock import SystemClock
from heeler.base.loop import Deadlock, simulate
from heeler.base.random import SeededRandom
from heeler.base.tasks import Tasks
from heeler.kubelet.simulated import Shape
from heeler.testing.simulation import faults, incidents, workload
from heeler.testing.simulation.invariants import Violation
from heeler.testing.simulation.observed import Observed
from heeler.testing.simulation.plane import Simulation, Told, first_entries, run

NODES, MINUTES = 10, 10
#: The share of a run in which things happen; in the rest it must get where it should.
STORMY = 0.5
#: Simulated seconds after the run in which it may still converge: back-offs grow to 1000 s a step.
PATIENCE_SECONDS = 9000.0
#: Some ten megabytes each stay until the process ends.
SEEDS_OF_A_PROCESS = 25
SHAPE = Shape(start=0.5, spread=2.0, stop=0.2, rejects=True)


@dataclass(slots=True)
class Outcome:
    """What came of a seed. `log`: what happened in it, if that was asked for."""

    seed: int
    told: Told | None = None
    violations: list[Violation] = field(default_factory=list)
    error: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.violations or self.error)


def run_seed(seed: int, nodes: int = NODES, minutes: float = MINUTES, *, verbose: bool = False) -> Outcome:
    """One run, from its first write to its convergence.

    A cluster that has ended holds itself in cycles of references, megabytes of them. To look for them meanwhile costs
    a tenth of the time: nobody does.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        return _run_seed(seed, nodes, minutes, verbose)
    finally:
        if looked:
            gc.enable()


def _run_seed(seed: int, nodes: int, minutes: float, verbose: bool) -> Outcome:
    outcome, random = Outcome(seed), SeededRandom(seed)
    names = [f"node-{number}" for number in range(nodes)]
    stormy = minutes * 60 * STORMY
    plan = faults.draw(random, names, stormy)
    drawn = workload.draw(random, names, stormy)

    def note(at: float, text: str) -> None:
        if verbose:
            outcome.log.append(f"{at:9.3f} s  {text}")

    def happened(at: float, one: faults.Incident, begins: bool) -> None:
        by = f" by {one.by:.0f} s" if one.by else ""
        note(at, f"{one.kind} {one.target}{by}{'' if begins else ': over'}")

    async def story(cluster: Simulation) -> None:
        note(0.0, f"{plan}")
        observed = Observed(cluster, plan)
        outcome.violations = observed.violations
        async with Tasks() as tasks:
            tasks.spawn(workload.carry_out(cluster, drawn, note), "workload")
            await incidents.happen(cluster, plan, happened)
            await tasks.wait()
        await cluster.clock.sleep(minutes * 60 - cluster.clock.monotonic())
        if not outcome.violations:
            took = await observed.converged(PATIENCE_SECONDS)
            note(cluster.clock.monotonic(), f"converged: {took}")
        outcome.violations.extend(
            Violation(cluster.clock.monotonic(), "nothing fails with a stack trace", text, "")
            for text in cluster.defects.found
        )

    try:
        outcome.told = simulate(
            run(story, seed=seed, nodes=nodes, shape=SHAPE, entries=first_entries()), SeededRandom(seed + 1)
        )
    except (Exception, Deadlock) as error:
        outcome.error = f"{type(error).__name__}: {error}"
        if verbose:
            logging.getLogger(__name__).exception("seed %d", seed)
    return outcome


def _run(seed: tuple[int, int, float]) -> Outcome:
    return run_seed(*seed)


def run_seeds(seeds: range, *, processes: int, nodes: int = NODES, minutes: float = MINUTES) -> Iterator[Outcome]:
    """Outcomes in the order in which they come.

    Nobody looks for what seeds leave in a process (see `run_seed`): it makes room for a fresh one after some of them.
    """
    todo = [(seed, nodes, minutes) for seed in seeds]
    if processes <= 1:
        yield from map(_run, todo)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["heeler.testing.simulation.observed", "heeler.testing.simulation.workload"])
    with context.Pool(processes, initializer=_set_up_process, maxtasksperchild=SEEDS_OF_A_PROCESS) as pool:
        yield from pool.imap_unordered(_run, todo, chunksize=1)


def _set_up_process() -> None:
    set_up()
    gc.disable()


def set_up() -> None:
    """For a process that runs many seeds. Faults are what this is about: their warnings say nothing."""
    memory.for_servers()
    logging.getLogger("heeler").setLevel(logging.ERROR)
    logging.getLogger("heeler").propagate = False


def describe(outcome: Outcome, nodes: int = NODES, minutes: float = MINUTES) -> str:
    """A failing seed, and how to run it again."""
    lines = [f"seed {outcome.seed}: {outcome.error or 'broke what must hold'}"]
    lines += [f"  {violation}" for violation in outcome.violations[:5]]
    more = "" if (nodes, minutes) == (NODES, MINUTES) else f" --nodes {nodes} --minutes {minutes:g}"
    lines.append(f"  again: python -m heeler.testing.seeds --seed {outcome.seed}{more} -v")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100, help="how many (100)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--seed", type=int, default=None, help="only this one")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--nodes", type=int, default=NODES)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="simulated minutes")
    parser.add_argument("-v", "--verbose", action="store_true", help="with --seed: what happened in it")
    given = parser.parse_args(arguments)
    clock = SystemClock()
    began = clock.monotonic()
    if given.seed is not None:
        set_up()
        outcome = run_seed(given.seed, given.nodes, given.minutes, verbose=given.verbose)
        print(*outcome.log, sep="\n")
        print(
            describe(outcome, given.nodes, given.minutes)
            if outcome.failed
            else f"seed {given.seed} held: {outcome.told}"
        )
        return int(outcome.failed)
    seeds = range(given.first, given.first + given.seeds)
    failed = 0
    set_up()
    outcomes = run_seeds(seeds, processes=given.processes, nodes=given.nodes, minutes=given.minutes)
    for done, outcome in enumerate(outcomes, 1):
        if outcome.failed:
            failed += 1
            print(describe(outcome, given.nodes, given.minutes), flush=True)
        if done % 100 == 0 or done == len(seeds):
            seconds = clock.monotonic() - began
            print(f"{done} of {len(seeds)} seeds, {failed} failed, {seconds:.0f} s", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
