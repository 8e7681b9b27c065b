"""Decisions by arrays agree with the rules told plainly, one node after the other."""

from hypothesis import given, settings
from hypothesis import strategies as st

from heeler.scheduler.cycle import find
from heeler.workloads import affinity, resources
from heeler.workloads.taints import untolerated
from tests.unit.scheduler.setting import Setting, node, pod

HOST, ZONE = "kubernetes.io/hostname", "zone"
HARD = ("NoSchedule", "NoExecute")
APPS = st.sampled_from(["a", "b"])


@st.composite
def nodes(draw):
    out = []
    for at in range(draw(st.integers(1, 6))):
        labels = {"disk": draw(st.sampled_from(["ssd", "hdd"]))}
        zone = draw(st.sampled_from(["1", "2", "3", None]))
        if zone:
            labels[ZONE] = zone
        taints = draw(st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True))
        out.append(
            node(
                f"n{at}",
                cpu=draw(st.sampled_from(["1", "2", "4"])),
                taints=[{"key": key, "effect": draw(st.sampled_from([*HARD, "PreferNoSchedule"]))} for key in taints],
                labels=labels,
                unschedulable=draw(st.integers(0, 5)) == 0,
                pods=draw(st.sampled_from(["2", "110"])),
            )
        )
    return out


@st.composite
def wishes(draw):
    """The spec of a pod, as far as nodes and other pods matter to it."""
    spec = {}
    if draw(st.booleans()):
        spec["nodeSelector"] = {"disk": draw(st.sampled_from(["ssd", "hdd"]))}
    if draw(st.booleans()):
        spec["tolerations"] = [{"key": draw(st.sampled_from(["x", "y"])), "operator": "Exists"}]
    for kind in ("podAffinity", "podAntiAffinity"):
        if draw(st.integers(0, 2)) == 0:
            terms = draw(st.lists(st.tuples(st.sampled_from([HOST, ZONE]), APPS), min_size=1, max_size=2))
            spec.setdefault("affinity", {})[kind] = {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}} for key, app in terms
                ]
            }
    if draw(st.booleans()):
        spec["topologySpreadConstraints"] = [
            {
                "topologyKey": draw(st.sampled_from([HOST, ZONE])),
                "maxSkew": draw(st.integers(1, 2)),
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": draw(APPS)}},
                "nodeTaintsPolicy": draw(st.sampled_from(["Honor", "Ignore"])),
                "nodeAffinityPolicy": draw(st.sampled_from(["Honor", "Ignore"])),
                **({"minDomains": draw(st.integers(1, 3))} if draw(st.booleans()) else {}),
            }
            for _ in range(draw(st.integers(1, 2)))
        ]
    return spec


@st.composite
def clusters(draw):
    there = draw(nodes())
    placed = []
    for at in range(draw(st.integers(0, 8))):
        where = draw(st.sampled_from(there))["metadata"]["name"]
        one = pod(f"p{at}", cpu=draw(st.sampled_from([None, "500m", "1"])), node_name=where, labels={"app": draw(APPS)})
        one["spec"] |= draw(wishes())
        if draw(st.integers(0, 5)) == 0:
            one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        placed.append(one)
    new = pod("new", cpu=draw(st.sampled_from([None, "500m", "2"])), labels={"app": draw(APPS)})
    new["spec"] |= draw(wishes())
    return there, placed, new


def labels(one):
    return one["metadata"]["labels"]


def terms(one, kind):
    found = (one["spec"].get("affinity") or {}).get(kind) or {}
    return [
        (term["topologyKey"], term["labelSelector"]["matchLabels"]["app"])
        for term in found.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
    ]


class Plain:
    """The rules, by looking at everything each time."""

    def __init__(self, there, placed, new):
        self.nodes, self.new = there, new
        self.on = {one["metadata"]["name"]: [] for one in there}
        for other in placed:
            self.on[other["spec"]["nodeName"]].append(other)

    def domain(self, key, value):
        """The pods on nodes of a domain."""
        return [p for n in self.nodes if labels(n).get(key) == value for p in self.on[n["metadata"]["name"]]]

    def allows(self, one):
        return self.itself(one) and self.fits(one) and self.near_and_far(one) and self.spread(one)

    def itself(self, one):
        spec = one["spec"]
        tolerations = self.new["spec"].get("tolerations") or []
        return (
            not spec.get("unschedulable")
            and untolerated(tolerations, spec["taints"], HARD) is None
            and affinity.node_allowed(self.new, one)
        )

    def fits(self, one):
        there = self.on[one["metadata"]["name"]]
        has = resources.amounts(one["status"]["allocatable"])
        used = sum(resources.requests(p).get("cpu", 0) for p in there)
        asked = resources.requests(self.new).get(
            "cpu", 0
        )  # who asks for nothing doesn't care that others have too much
        return len(there) < has["pods"] and (not asked or used + asked <= has["cpu"])

    def near_and_far(self, one):
        new, app = self.new, labels(self.new)["app"]
        for key, wanted in terms(new, "podAntiAffinity"):
            value = labels(one).get(key)
            if value is not None and any(labels(p)["app"] == wanted for p in self.domain(key, value)):
                return False
        for host in self.nodes:
            for other in self.on[host["metadata"]["name"]]:
                for key, unwanted in terms(other, "podAntiAffinity"):
                    value = labels(host).get(key)
                    if unwanted == app and value is not None and labels(one).get(key) == value:
                        return False
        near = terms(new, "podAffinity")
        if any(labels(one).get(key) is None for key, _ in near):
            return False
        meeting = [
            (host, p)
            for host in self.nodes
            for p in self.on[host["metadata"]["name"]]
            if near and all(labels(p)["app"] == wanted for _, wanted in near)
        ]
        if not any(labels(host).get(key) is not None for host, _ in meeting for key, _ in near):
            return all(wanted == app for _, wanted in near)
        return all(any(labels(host).get(key) == labels(one)[key] for host, _ in meeting) for key, _ in near)

    def spread(self, one):
        constraints = self.new["spec"].get("topologySpreadConstraints") or []
        keys = [constraint["topologyKey"] for constraint in constraints]
        if any(key not in labels(one) for key in keys):
            return False
        for constraint in constraints:
            key, wanted = constraint["topologyKey"], constraint["labelSelector"]["matchLabels"]["app"]
            counts = {}
            for host in self.nodes:
                if any(one not in labels(host) for one in keys) or not self.counts(constraint, host):
                    continue
                matching = [
                    p
                    for p in self.on[host["metadata"]["name"]]
                    if labels(p)["app"] == wanted and "deletionTimestamp" not in p["metadata"]
                ]
                value = labels(host)[key]
                counts[value] = counts.get(value, 0) + len(matching)
            least = min(counts.values(), default=0) if len(counts) >= constraint.get("minDomains", 1) else 0
            own = labels(self.new)["app"] == wanted
            if counts.get(labels(one)[key], 0) + own - least > constraint["maxSkew"]:
                return False
        return True

    def counts(self, constraint, host):
        if constraint["nodeAffinityPolicy"] == "Honor" and not affinity.node_allowed(self.new, host):
            return False
        tolerations = self.new["spec"].get("tolerations") or []
        honor = constraint["nodeTaintsPolicy"] == "Honor"
        return not honor or untolerated(tolerations, host["spec"]["taints"], HARD) is None


def feasible(setting, new):
    found = find(setting.cache.info(new), setting.cache.table, setting.profile)
    return sorted(setting.cache.table.names[row] for row in found.rows)


@settings(max_examples=150)
@given(clusters(), st.randoms(use_true_random=False))
def test_the_possible_nodes_are_those_of_the_plain_rules(cluster, random):
    there, placed, new = cluster
    plain = Plain(there, placed, new)
    expected = sorted(one["metadata"]["name"] for one in there if plain.allows(one))
    setting = Setting(*there, placed=placed)
    assert feasible(setting, new) == expected
    # the counts that were made for it follow pods that go and come, and trials leave no trace
    moved = list(placed)
    random.shuffle(moved)
    for one in moved:
        setting.cache.drop_pod(f"n/{one['metadata']['name']}")
    setting.choose(new | {"spec": {**new["spec"], "priority": 5}})
    for one in moved:
        setting.cache.set_pod(one)
    setting.choose(new | {"spec": {**new["spec"], "priority": 5}})
    assert feasible(setting, new) == expected
