"""Scenarios that people write: what is wrong with one is told by its fields, and what comes of one can be read and counted."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from heeler.cli.commands import cli
from heeler.testing.simulation.fields import ScenarioError
from heeler.testing.simulation.picture import svg
from heeler.testing.simulation.play import play, value_at
from heeler.testing.simulation.report import as_json, text
from heeler.testing.simulation.scenario import load, read

EXAMPLES = Path(__file__).parents[2] / "examples" / "simulation"
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "web:1", resources: {requests: {cpu: 100m}}}]}
"""


def written(tmp_path: Path, scenario: str, manifest: str = WEB) -> Path:
    (tmp_path / "web.yaml").write_text(manifest)
    path = tmp_path / "scenario.yaml"
    path.write_text(scenario)
    return path


def faults(value: object) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        read(value, Path())
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], "the scenario is [], where fields with values should be"),
        ({"duration": "soon"}, 'duration is \'soon\', where a duration like "90s", "1h30m" or "3 days" should be'),
        ({"durations": "1h"}, "durations isn't known; duration is (there are "),
        ({"nodes": [{"cpu": "much"}]}, 'nodes[0].cpu is \'much\', where an amount like "4" or "16Gi" should be'),
        ({"nodes": []}, "nodes are 0, where 1 to 5000 should be"),
        ({"manifests": ["none.yaml"]}, "manifests names none.yaml, which can't be read: No such file or directory"),
        (
            {"faults": {"calls": {"lost": "lots"}}},
            "faults.calls.lost is 'lots', where a share like 0.01 or \"1%\" should be",
        ),
        ({"faults": {"calls": {"lost": "200%"}}}, "faults.calls.lost is '200%', where a share"),
        (
            {"faults": {"incidents": [{"kind": "flood"}]}},
            "faults.incidents[0].kind is 'flood', where one of kill, crash-node",
        ),
        (
            {"faults": {"incidents": [{"kind": "crash-node", "target": "node-9"}]}},
            "faults.incidents[0].target is 'node-9', where one of node-0, node-1, node-2 should be",
        ),
        (
            {"duration": "1h", "faults": {"incidents": [{"kind": "kill", "target": "scheduler", "at": "2h"}]}},
            "faults.incidents[0].at and for end 7260 s after the beginning, faults end after",
        ),
        ({"faults": {"incidents": [{"kind": "set-clock", "target": "nodes"}]}}, "faults.incidents[0].by is missing"),
        ({"faults": {"random": {"kinds": ["rain"]}}}, "faults.random.kinds has 'rain', where any of kill"),
        ({"actions": [{"at": "1h"}]}, "actions[0] has no action, where one of scale, set-image"),
        ({"actions": [{"scale": "web", "replicas": 2}]}, "actions[0].scale names 'web', where KIND/NAME should be"),
        ({"actions": [{"scale": "deployment/web"}]}, "actions[0].replicas is missing"),
        ({"actions": [{"drain": "node-7"}]}, "actions[0].drain names 'node-7', there are node-0 to node-2"),
        ({"nodes": [], "actions": [{"drain": "node-0"}]}, "actions[0].drain names 'node-0', there are no nodes"),
        (
            {"actions": [{"every": "1ms", "scale": "deployment/web", "replicas": 1}]},
            "actions[0].every must be a second or more",
        ),
        ({"actions": [{"usage": "deployment/web", "is": "fast"}]}, "actions[0].is is 'fast', where usage like"),
        ({"expect": [{"of": "web", "is": 3, "path": "x"}]}, "expect[0].of is 'web', where KIND/NAME should be"),
        ({"expect": [{"of": "deployment/web", "path": "x"}]}, "expect[0] has nothing to hold it against: one of is"),
        ({"expect": [{"of": "deployment/web", "is": 3}]}, "expect[0].path is missing"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(value, expected):
    assert any(fault.startswith(expected) for fault in faults(value)), faults(value)


def test_all_that_is_wrong_is_told_at_once():
    assert len(faults({"duration": "x", "seed": -1, "faults": {"calls": 3}, "actions": 7})) == 4


def test_a_scenario_comes_to_pass_and_is_told_as_text_json_and_a_picture(tmp_path):
    scenario = load(
        written(
            tmp_path,
            """
name: A <short> run
duration: 1h
nodes: [{count: 2, cpu: 2, labels: {zone: a}}]
manifests: [web.yaml]
faults:
  calls: {lost: 1%, delay: 20ms}
  incidents: [{at: 10m, kind: crash-node, target: node-1, for: 5m}]
actions:
  - {at: 20m, scale: deployment/web, replicas: 5}
  - {at: 30m, set-image: deployment/web, image: "web:2"}
  - {at: 31m, scale: deployment/none, replicas: 1}
expect:
  - {at: 21m, within: 1m, of: deployment/web, path: status.readyReplicas, is: 5}
  - {at: 40m, of: deployment/web, path: "spec.template.spec.containers[0].image", is: "web:2"}
  - {always: true, from: 5m, of: deployment/web, path: status.readyReplicas, at-least: 4}
  - {at: 5m, of: deployment/other, absent: true}
""",
        )
    )
    result = play(scenario, 3)
    assert result.violations == [] and result.broken
    assert [str(one)[:-1] for one in result.unmet] == ["deployment/web status.readyReplicas at-least 4: it is "]
    assert result.failed_actions == ['scale deployment/none replicas=1: deployments.apps "none" not found']
    told = text(result)
    assert "deployment default/web  5/5" in told
    assert "00:10:00 ! crash-node node-1 (00:05:00)" in told
    assert "00:31:00 > scale deployment/none replicas=1 could not be done" in told
    assert "everything was as it should be" not in told
    assert "expectations: 3 of 4 met" in told
    found = json.loads(json.dumps(as_json(result)))
    assert found["held"] is False
    assert found["timeline"][0]["points"][-1][1:] == [5, 5]
    assert [event["kind"] for event in found["events"]] == ["fault", "unmet", "action", "action", "action"]
    root = ElementTree.fromstring(svg(result))
    assert root.tag.endswith("svg") and "A <short> run" in "".join(root.itertext())
    assert play(scenario, 3).told == result.told


def test_one_seed_of_several_is_told_and_the_exit_code_says_that_something_broke(tmp_path):
    path = written(
        tmp_path,
        """
duration: 20m
manifests: [web.yaml]
expect: [{at: 5m, of: deployment/web, path: status.readyReplicas, is: 4}]
""",
    )
    done = CliRunner().invoke(cli, ["simulate", str(path), "--seeds", "3", "--picture", str(tmp_path / "out.svg")])
    assert done.exit_code == 1
    assert "deployment/web status.readyReplicas is 4: it is 3" in done.output
    assert "seeds 0 to 0: the last broke something" in done.output
    assert (tmp_path / "out.svg").read_text().startswith("<svg ")


def test_manifests_are_a_scenario_by_themselves(tmp_path):
    written(tmp_path, WEB)
    for name in ("scenario.yaml", ""):
        done = CliRunner().invoke(cli, ["simulate", str(tmp_path / name), "--duration", "5m", "-o", "json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.output)
        assert (found["seconds"], found["held"]) == (300, True)
        assert found["timeline"][0]["name"] == "deployment default/web"


def test_what_is_no_text_and_keys_that_come_twice_are_refused(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(ScenarioError, match="is no text"):
        load(tmp_path / "bytes.yaml")
    (tmp_path / "twice.yaml").write_text("name: a\nduration: 1h\nduration: 2h\nmanifests: []\n")
    with pytest.raises(ScenarioError, match="duration"):
        load(tmp_path / "twice.yaml")


def test_a_wrong_scenario_is_refused_with_its_faults(tmp_path):
    path = written(tmp_path, "duration: 1h\nmanifests: [gone.yaml]\nfault: {}\n")
    done = CliRunner().invoke(cli, ["simulate", str(path)])
    assert done.exit_code == 2
    assert "manifests names gone.yaml" in done.output and "fault isn't known; faults is" in done.output
    bad = WEB.replace("replicas: 3", "replicas: -3")
    done = CliRunner().invoke(cli, ["simulate", str(written(tmp_path, "manifests: [web.yaml]", bad))])
    assert done.exit_code == 2
    assert "spec.replicas: Invalid value: -3" in done.output


def test_pods_that_come_later_use_what_their_workload_was_said_to_use(tmp_path):
    scaler = """
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 10
  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 100m}}}]
"""
    path = written(
        tmp_path,
        """
duration: 1h
manifests: [web.yaml]
actions:
  - {at: 0s, usage: deployment/web, is: cpu=100m}
  - {at: 20m, usage: deployment/web, is: cpu=10m}
expect:
  - {at: 15m, of: deployment/web, path: spec.replicas, is: 3}
  - {at: 50m, of: deployment/web, path: spec.replicas, is: 1}
""",
        WEB + scaler,
    )
    result = play(load(path), 0)
    assert not result.broken, text(result)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_can_be_played_and_short_ones_hold(path):
    scenario = load(path)
    if scenario.seconds <= 4 * 3600:
        result = play(scenario, scenario.seed)
        assert not result.broken, text(result)


def test_what_people_do_while_the_api_server_is_down_is_done_when_it_is_back(tmp_path):
    path = written(
        tmp_path,
        """
duration: 30m
manifests: [web.yaml]
faults: {incidents: [{at: 5m, kind: kill, target: apiserver, for: 2m}]}
actions:
  - {at: 6m, scale: deployment/web, replicas: 5}
  - {at: 6m, apply: web.yaml, namespace: kube-public}
  - {at: 6m, drain: node-0, for: 5m}
expect:
  - {at: 6m, within: 3m, of: deployment/web, path: status.readyReplicas, is: 5}
  - {at: 6m, within: 3m, of: deployment/web, namespace: kube-public, path: status.readyReplicas, is: 3}
""",
    )
    result = play(load(path), 0)
    assert not result.broken and not result.failed_actions, text(result)


def test_own_kinds_are_simulated_too(tmp_path):
    schema = "{openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}"
    (tmp_path / "widget.yaml").write_text(
        f"""
{{apiVersion: example.com/v1, kind: Widget, metadata: {{name: one, namespace: other}}, size: 3}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.example.com}}
spec:
  group: example.com
  scope: Namespaced
  names: {{kind: Widget, plural: widgets, singular: widget}}
  versions: [{{name: v1, served: true, storage: true, schema: {schema}}}]
"""
    )
    expected = {"at": "5m", "of": "widget/one", "namespace": "other", "path": "size", "is": 3}
    result = play(read({"duration": "10m", "manifests": ["widget.yaml"], "expect": [expected]}, tmp_path), 0)
    assert not result.broken, text(result)


def test_a_path_leads_to_a_value_or_to_nothing():
    obj = {"a": {"b": [{"c": 1}]}}
    assert value_at(obj, "a.b[0].c") == 1
    assert value_at(obj, "a.b[1].c") is None and value_at(obj, "a.x.y") is None
