"""What kube-scheduler decided in drawn clusters, held against our decisions.

`tests/peers/scheduling_differential.py` records it. A round is `{"nodes": [node, …], "steps": [step, …]}`, a step `{"pod": pod,
"node": NAME}` or `{"pod": pod, "message": TEXT}`: pods come one after the other; those that got a node stay, the others go.
Pods with the label `svc: a` are of one Service. Ties are kube-scheduler's to choose.
"""

import re

import numpy as np

from heeler.base.random import SeededRandom
from heeler.objects.selectors import of_map
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.cycle import find, ratings
from heeler.scheduler.plugins.registry import Tools
from heeler.scheduler.preemption import candidates, cost
from tests.unit.scheduler.setting import Setting

PREEMPTS = re.compile(r"(.*) preemption: found a potential placement for pod on node (\S+), preempting (\d+) victims")


def kin(info):
    return of_map({"svc": "a"}) if info.labels.get("svc") == "a" else None


def differences(one):
    """What we would have decided otherwise in a round, as lines."""
    setting = Setting(*one["nodes"], profile=default_profile(Tools(kin=kin)))
    out = []
    for step in one["steps"]:
        found = _differs(setting, step)
        if found:
            out.append(f"{step['pod']['metadata']['name']}: {found}")
        if "node" in step:
            there = step["pod"]
            setting.cache.set_pod({**there, "spec": {**there["spec"], "nodeName": step["node"]}})
    return out


def _differs(setting, step):
    info, table = setting.cache.info(step["pod"]), setting.cache.table
    if "node" in step:
        rows = find(info, table, setting.profile).rows
        totals = ratings(info, table, setting.profile, rows) if len(rows) > 1 else np.zeros(len(rows))
        best = [table.names[row] for row in rows[totals == totals.max()]] if len(rows) else []
        return "" if step["node"] in best else f"kube-scheduler took {step['node']}, our best are {best}"
    decision = setting.choose(step["pod"])
    told = decision.node or decision.message
    preempted = PREEMPTS.fullmatch(step["message"])
    if preempted is None:
        return "" if told == step["message"] else f"kube-scheduler said {step['message']!r}, we {told!r}"
    diagnosis = find(info, table, setting.profile).diagnosis
    places, _ = candidates(info, diagnosis, table, setting.profile, SeededRandom(1))
    cheapest = [place for place in places if not any(cost(other) < cost(place) for other in places)]
    agreed = any((place.node, str(len(place.victims))) == (preempted[2], preempted[3]) for place in cheapest)
    return "" if agreed and told.startswith(preempted[1]) else f"kube-scheduler said {step['message']!r}, we {told!r}"
