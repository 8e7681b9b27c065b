"""https://kubernetes.io/docs/concepts/extend-kubernetes/#scheduling-extensions — a program over HTTP has a say."""

import asyncio
import base64
import json
import ssl

import pytest

from heeler.base import pki
from heeler.base.clock import SystemClock
from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.extender import Extender
from heeler.scheduler.extending import decide_together
from heeler.scheduler.plugins.plugin import PluginError
from heeler.wire.http.messages import Response
from heeler.wire.http.server import serve
from tests.unit.scheduler.setting import Setting, node, pod


def ask(setting, what, answers, **given):
    """A decision with one extender that gives `answers` by verb, and what it was asked: [(verb, body), ...]."""
    asked = []

    async def answer(request):
        verb = request.path.rpartition("/")[2]
        asked.append((verb, json.loads(request.body)))
        found = answers[verb]
        if isinstance(found, int):
            return Response(found)
        return Response(200, [("Content-Type", "application/json")], json.dumps(found).encode())

    async def main():
        server = await serve(answer)
        verbs = {f"{verb}Verb": verb for verb in answers}
        extender = Extender({"urlPrefix": f"http://127.0.0.1:{server.port}/x", "weight": 3, **verbs, **given})
        info = setting.cache.info(what)
        try:
            interested = [extender] if extender.is_interested(info) else []
            return await decide_together(interested, info, setting.cache.table, setting.profile, setting.random)
        finally:
            await extender.close()
            await server.close()

    return asyncio.run(main()), asked


def test_it_leaves_some_nodes_and_says_why_not_the_others():
    there = Setting(node("a"), node("b"))
    decision, asked = ask(there, pod(), {"filter": {"NodeNames": ["b"]}}, nodeCacheCapable=True)
    assert decision.node == "b"
    assert asked == [("filter", {"Pod": pod(), "Nodes": None, "NodeNames": ["a", "b"]})]
    failed = {"Nodes": {"items": []}, "FailedNodes": {"a": "no"}, "FailedAndUnresolvableNodes": {"b": "never"}}
    decision, asked = ask(there, pod(), {"filter": failed})
    assert decision.message == (
        "0/2 nodes are available: 1 never, 1 no. preemption: 0/2 nodes are available: 1 No preemption victims found for "
        "incoming pod, 1 Preemption is not helpful for scheduling."
    )
    assert [one["metadata"]["name"] for one in asked[0][1]["Nodes"]["items"]] == ["a", "b"]


def test_its_ratings_count_with_its_weight():
    there = Setting(node("a", cpu="2"), node("b", cpu="8"))
    ratings = [{"Host": "a", "Score": 10}, {"Host": "b", "Score": 0}]
    assert ask(there, pod(cpu="1"), {"prioritize": ratings})[0].node == "a"


def test_one_that_fails_fails_the_attempt_unless_it_may_be_left_out():
    there = Setting(node("a"))
    with pytest.raises(PluginError, match=r"failed filter with extender at URL http://\S+/x/filter, code 500"):
        ask(there, pod(), {"filter": 500})
    with pytest.raises(PluginError, match="out of order"):
        ask(there, pod(), {"filter": {"Error": "out of order"}})
    assert ask(there, pod(), {"filter": 500}, ignorable=True)[0].node == "a"


def test_it_is_asked_about_pods_with_its_resources_only():
    managed = {"managedResources": [{"name": "example.com/gpu"}]}
    assert ask(Setting(node("a")), pod(), {"filter": {"NodeNames": []}}, **managed)[0].node == "a"


def test_it_chooses_among_the_places_where_others_could_make_room():
    placed = [pod("x", cpu="4", node_name="a", priority=1), pod("y", cpu="4", node_name="b", priority=2)]
    there = Setting(node("a"), node("b"), placed=placed)
    only = {"NodeNameToMetaVictims": {"b": {"Pods": [{"UID": "uid-y"}], "NumPDBViolations": 0}}}
    decision, asked = ask(there, pod(cpu="4", priority=10), {"preempt": only}, nodeCacheCapable=True)
    assert (decision.preempt.node, [victim.name for victim in decision.preempt.victims]) == ("b", ["y"])
    assert asked[0][1]["NodeNameToMetaVictims"] == {
        "a": {"Pods": [{"UID": "uid-x"}], "NumPDBViolations": 0},
        "b": {"Pods": [{"UID": "uid-y"}], "NumPDBViolations": 0},
    }


@pytest.mark.parametrize("by_data", [True, False])
def test_it_is_shown_a_certificate_that_the_configuration_holds_or_names(tmp_path, by_data):
    now = SystemClock().time()
    authority = pki.new_authority("ca", now)
    serving = pki.issue(authority, "server", now, server_names=("127.0.0.1",))
    own = pki.issue(authority, "scheduler", now, client=True)
    for name, pair in (("ca", authority), ("serving", serving), ("own", own)):
        (tmp_path / f"{name}.crt").write_bytes(pair.certificate)
        (tmp_path / f"{name}.key").write_bytes(pair.key)
    context = pki.server_context(tmp_path / "serving.crt", tmp_path / "serving.key", tmp_path / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED

    async def main():
        async def answer(request):
            return Response(200, [], json.dumps({"NodeNames": ["b"]}).encode())

        server = await serve(answer, tls=context)
        tls = {"caData": base64.b64encode(authority.certificate).decode()}
        if by_data:
            tls |= {"certData": base64.b64encode(own.certificate).decode(), "keyFile": str(tmp_path / "own.key")}
            # data comes before files
            tls |= {"keyData": base64.b64encode(own.key).decode(), "certFile": "/nowhere"}
        else:
            tls |= {"certFile": str(tmp_path / "own.crt"), "keyFile": str(tmp_path / "own.key")}
        there = Setting(node("a"), node("b"))
        given = {"urlPrefix": f"https://127.0.0.1:{server.port}", "filterVerb": "filter"}
        known, unknown = (
            Extender({**given, "tlsConfig": tls}),
            Extender({**given, "tlsConfig": {"caData": tls["caData"]}}),
        )
        info = there.cache.info(pod())
        try:
            found = await decide_together([known], info, there.cache.table, there.profile, there.random)
            with pytest.raises(PluginError):
                await decide_together([unknown], info, there.cache.table, there.profile, there.random)
            return found.node
        finally:
            await known.close()
            await unknown.close()
            await server.close()

    assert asyncio.run(main()) == "b"


@pytest.mark.parametrize("tls", [{"certData": "AAAA", "keyData": "AAAA"}, {"certData": "no base64"}])
def test_a_certificate_that_is_none_is_told(tls):
    with pytest.raises(ConfigurationError, match="an extender's tlsConfig: "):
        Extender({"urlPrefix": "https://x", "tlsConfig": tls})
