"""A cluster for a test: how long it takes to come up in a process, to let a day pass, and to be put back.

Run as a program it measures itself in a fresh process and prints JSON: seconds of the first start (with the imports), the
median of later ones, a day with a Deployment of three pods, a reset.
"""

import json
import statistics
import subprocess
import sys
import time
from typing import Any


def measure() -> dict[str, float]:
    began = time.perf_counter()
    from heeler.testing.cluster import FreshCluster

    found: dict[str, float] = {}
    later = []
    for number in range(6):
        if number:
            began = time.perf_counter()
        with FreshCluster() as cluster:
            started = time.perf_counter() - began
            if number == 0:
                found["first"] = started
                template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
                spec = {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": template}
                cluster.apply(
                    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
                )
                cluster.wait("deployment/web", "condition=Available")
                began = time.perf_counter()
                cluster.clock.advance("1 day")
                found["day"] = time.perf_counter() - began
                began = time.perf_counter()
                cluster.reset()
                found["reset"] = time.perf_counter() - began
            else:
                later.append(started)
    found["later"] = statistics.median(later)
    return found


def fixture(figures: Any) -> None:
    """`bench/run.py`'s part."""
    subprocess.run(
        [sys.executable, __file__], check=True, capture_output=True
    )  # the bytecode is written, the disk is warm
    done = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    figures.add("a cluster for a test, the first in a process", found["first"], "s", "<= 0.7", "envtest: seconds")
    figures.add("a cluster for a test, from the second", found["later"], "s", "<= 0.3")
    figures.add("a day passes (3 pods, 1 node)", found["day"], "s")
    figures.add("a test's cluster put back to its start", found["reset"] * 1000, "ms")


if __name__ == "__main__":
    print(json.dumps(measure()))
