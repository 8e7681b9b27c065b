"""Nodes and pods for tests of decisions, and a cluster to decide in."""

from heeler.base.random import SeededRandom
from heeler.scheduler.cache import Cache
from heeler.scheduler.configuration.profiles import default_profile
from heeler.scheduler.cycle import Circumstances
from heeler.scheduler.decision import decide
from heeler.scheduler.plugins.registry import Tools


def node(name, cpu="4", taints=(), labels=None, unschedulable=False, pods="110"):
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), **({"unschedulable": True} if unschedulable else {})},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}},
    }


def pod(name="p", cpu=None, node_name="", labels=None, **spec):
    resources = {"resources": {"requests": {"cpu": cpu}}} if cpu else {}
    return {
        "metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {
            "containers": [{"name": "c", "image": "i", **resources}],
            **({"nodeName": node_name} if node_name else {}),
            **spec,
        },
    }


class Setting:
    """A cache with nodes and pods on them, and a profile. `choose` decides about a pod."""

    def __init__(self, *nodes, placed=(), profile=None, seed=1):
        self.cache = Cache()
        self.profile = profile or default_profile(Tools(self.cache.storage))
        self.random = SeededRandom(seed)
        for one in nodes:
            self.cache.set_node(one)
        for one in placed:
            self.cache.set_pod(one)

    def choose(self, what, **how):
        info = self.cache.info(what)
        promised = self.cache.table.row(self.cache.promised_to(info))
        around = Circumstances(nominated=self.cache.nominated(info), promised=promised, **how)
        return decide(info, self.cache.table, self.profile, self.random, around)


def choose(what, *nodes, placed=()):
    return Setting(*nodes, placed=placed).choose(what)
