"""The whole control plane in simulated time, by a seed. `plane.py` is the way in; `heeler.testing.seeds` runs many seeds.

plane.py         the processes of a cluster, killed and started at any moment; stories
disk.py          an API server's way to the store
faults.py        what goes wrong: a plan, drawn by a seed or written by a person
invariants/      what must hold at every write, a file an area
convergence.py   what must be true once faults have stopped
workload.py      what is asked of the cluster, drawn by a seed
scenario.py      what a person asks of it; timeline.py, report.py, picture.py tell what came of it
"""

from heeler.testing.simulation.objects import deployment
from heeler.testing.simulation.plane import CALM, Simulation, Story, Told, run, simulate_cluster

__all__ = ["CALM", "Simulation", "Story", "Told", "deployment", "run", "simulate_cluster"]
