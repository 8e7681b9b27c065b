"""https://kubernetes.io/docs/concepts/extend-kubernetes/#scheduling-extensions — a program over HTTP has a say."""

import asyncio
import base64
import json
import ssl

import pytest

from heeler.base import pki
from heeler.base.clock import SystemClock
from heeler.scheduler.configuration.fields import ConfigurationError
from heeler.scheduler.extender import Extender, ExtenderError
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
        if isinstance(found, bytes):
            return Response(200, [], found)
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


RESULT = "Go struct field ExtenderFilterResult"
PREEMPTION = "Go struct field ExtenderPreemptionResult"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "EOF"),
        (b"{{{", "unexpected character"),
        (b"[]", "json: cannot unmarshal array into Go value of type v1.ExtenderFilterResult"),
        (b"5", "json: cannot unmarshal number into Go value of type v1.ExtenderFilterResult"),
        (b'"x"', "json: cannot unmarshal string into Go value of type v1.ExtenderFilterResult"),
        (b'{"Nodes": 5}', f"json: cannot unmarshal number into {RESULT}.Nodes of type v1.NodeList"),
        (
            b'{"Nodes": {"items": ["x"]}}',
            "json: cannot unmarshal string into Go struct field NodeList.Nodes.items of type v1.Node",
        ),
        (b'{"FailedNodes": [1]}', f"json: cannot unmarshal array into {RESULT}.FailedNodes of type v1.FailedNodesMap"),
        (
            b'{"NodeNames": [], "FailedNodes": {"a": 5}}',
            f"json: cannot unmarshal number into {RESULT}.FailedNodes of type string",
        ),
        (b'{"NodeNames": [["a"]]}', f"json: cannot unmarshal array into {RESULT}.NodeNames of type string"),
        (b'{"NodeNames": "a"}', f"json: cannot unmarshal string into {RESULT}.NodeNames of type []string"),
        (b'{"Error": {"a": 1}}', f"json: cannot unmarshal object into {RESULT}.Error of type string"),
        (b'{"NodeNames": [null]}', 'claims a filtered node "" which is not found in the input node list'),
        (b'{"Nodes": {"items": [{}]}}', 'claims a filtered node "" which is not found in the input node list'),
        (b'{"NodeNames": ["c"]}', 'claims a filtered node "c" which is not found in the input node list'),
    ],
)
def test_what_is_no_answer_fails_the_attempt_unless_the_extender_may_be_left_out(answer, message):
    there = Setting(node("a"))
    with pytest.raises(PluginError) as error:
        ask(there, pod(), {"filter": answer}, nodeCacheCapable=True)
    assert message in str(error.value)
    assert ask(there, pod(), {"filter": answer}, nodeCacheCapable=True, ignorable=True)[0].node == "a"


NOT_AVAILABLE = "0/2 nodes are available:"
HELPLESS = "Preemption is not helpful for scheduling."


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        *((answer, f" preemption: {NOT_AVAILABLE} 2 {HELPLESS}") for answer in (b"null", b"{}", b'{"NodeNames": []}')),
        (
            b'{"NodeNames": [], "FailedNodes": {"a": "no"}}',
            f" 1 no. preemption: {NOT_AVAILABLE} 1 No preemption victims found for incoming pod, 1 {HELPLESS}",
        ),
        (
            b'{"NodeNames": [], "FailedAndUnresolvableNodes": {"a": "no"}}',
            f" 1 no. preemption: {NOT_AVAILABLE} 2 {HELPLESS}",
        ),
    ],
)
def test_nodes_that_an_extender_says_nothing_of_are_out_for_good(answer, message):
    there = Setting(node("a"), node("b"))
    decision, _ = ask(there, pod(), {"filter": answer}, nodeCacheCapable=True)
    assert (decision.message, decision.plugins) == (NOT_AVAILABLE + message, ("Extender",))


def test_names_of_fields_may_be_written_in_small_letters():
    there = Setting(node("a"), node("b"))
    assert ask(there, pod(), {"filter": b'{"nodenames": ["b"]}'}, nodeCacheCapable=True)[0].node == "b"


HOST = "Go struct field HostPriority"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"7", "json: cannot unmarshal number into Go value of type v1.HostPriorityList"),
        (b"{}", "json: cannot unmarshal object into Go value of type v1.HostPriorityList"),
        (b"[[1]]", "json: cannot unmarshal array into Go value of type v1.HostPriority"),
        (b'[{"Host": "a", "Score": "x"}]', f"json: cannot unmarshal string into {HOST}.Score of type int64"),
        (b'[{"Host": "a", "Score": 1.5}]', f"json: cannot unmarshal number 1.5 into {HOST}.Score of type int64"),
        (
            b'[{"Host": "a", "Score": 9223372036854775808}]',
            f"json: cannot unmarshal number 9223372036854775808 into {HOST}.Score of type int64",
        ),
        (b'[{"Host": "a", "Score": 99999999999999999999999}]', f"into {HOST}.Score of type int64"),
    ],
)
def test_ratings_that_are_none_are_left_out(caplog, answer, message):
    there = Setting(node("a", cpu="2"), node("b", cpu="8"))
    assert ask(there, pod(cpu="1"), {"prioritize": answer})[0].node == "b"
    assert message in caplog.text


@pytest.mark.parametrize("answer", [b"null", b'[{"Host": "a"}]', b"[null]", b'[{"host": "b", "score": 10}]'])
def test_ratings_may_say_nothing(answer):
    there = Setting(node("a", cpu="2"), node("b", cpu="8"))
    assert ask(there, pod(cpu="1"), {"prioritize": answer})[0].node == "b"


def test_ratings_go_round_as_int64_do():
    there = Setting(node("a", cpu="8"), node("b", cpu="2"))
    ratings = [{"Host": "a", "Score": 2**60}]  # ten times of it is less than nothing
    assert ask(there, pod(cpu="1"), {"prioritize": ratings}, weight=1)[0].node == "b"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            b'{"NodeNameToMetaVictims": []}',
            f"json: cannot unmarshal array into {PREEMPTION}.NodeNameToMetaVictims of type map[string]*v1.MetaVictims",
        ),
        (
            b'{"NodeNameToMetaVictims": {"a": 5}}',
            f"json: cannot unmarshal number into {PREEMPTION}.NodeNameToMetaVictims of type v1.MetaVictims",
        ),
        (
            b'{"NodeNameToMetaVictims": {"a": {"Pods": {}}}}',
            "json: cannot unmarshal object into Go struct field MetaVictims.NodeNameToMetaVictims.Pods of type []*v1.MetaPod",
        ),
        (
            b'{"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": 1}]}}}',
            "json: cannot unmarshal number into Go struct field MetaPod.NodeNameToMetaVictims.Pods.UID of type string",
        ),
        (
            b'{"NodeNameToMetaVictims": {"a": {"NumPDBViolations": "1"}}}',
            "json: cannot unmarshal string into Go struct field MetaVictims.NodeNameToMetaVictims.NumPDBViolations of "
            "type int64",
        ),
        (b'{"NodeNameToMetaVictims": {"c": {}}}', 'nodeinfo not found for node name "c"'),
        (
            b'{"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": "z"}]}}}',
            "claims to preempt pod (UID: &{z}) on node: a, but the pod is not found on that node",
        ),
    ],
)
def test_victims_that_are_none_fail_the_attempt_unless_the_extender_may_be_left_out(answer, message):
    there = Setting(node("a"), placed=[pod("x", cpu="4", node_name="a", priority=1)])
    with pytest.raises(PluginError) as error:
        ask(there, pod(cpu="4", priority=10), {"preempt": answer})
    assert message in str(error.value)
    decision, _ = ask(there, pod(cpu="4", priority=10), {"preempt": answer}, ignorable=True)
    assert decision.preempt.node == "a"


@pytest.mark.parametrize("told", ["null", "{}", '{"Pods": null}'])
def test_a_node_without_victims_is_no_place_to_make_room(told):
    there = Setting(node("a"), placed=[pod("x", cpu="4", node_name="a", priority=1)])
    answer = b'{"NodeNameToMetaVictims": {"a": %s}}' % told.encode()
    with pytest.raises(PluginError, match='expected at least one victim pod on node "a"'):
        ask(there, pod(cpu="4", priority=10), {"preempt": answer})
    assert ask(there, pod(cpu="4", priority=10), {"preempt": answer}, ignorable=True)[0].preempt is None


def test_an_answer_is_read_up_to_its_limit_only(monkeypatch):
    monkeypatch.setattr("heeler.scheduler.extender.MAX_ANSWER", 1 << 20)
    large = b'{"NodeNames": ["' + b"a" * (2 << 20) + b'"]}'
    with pytest.raises(PluginError, match=r'Post "http://\S+/x/filter": the answer is larger than 1 MiB'):
        ask(Setting(node("a")), pod(), {"filter": large})


def test_a_url_that_is_none_fails_the_attempt():
    with pytest.raises(PluginError, match='Post "http://x:99999999/filter": '):
        ask(Setting(node("a")), pod(), {"filter": {}}, urlPrefix="http://x:99999999")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"[]", "json: cannot unmarshal array into Go value of type v1.ExtenderBindingResult"),
        (
            b'{"Error": 1}',
            "json: cannot unmarshal number into Go struct field ExtenderBindingResult.Error of type string",
        ),
        (b'{"Error": "busy"}', "busy"),
    ],
)
def test_a_binding_that_is_no_answer_is_told(answer, message):
    async def main():
        async def respond(request):
            return Response(200, [], answer)

        server = await serve(respond)
        extender = Extender({"urlPrefix": f"http://127.0.0.1:{server.port}", "bindVerb": "bind"})
        try:
            await extender.bind(Setting(node("a")).cache.info(pod()), "a")
        finally:
            await extender.close()
            await server.close()

    with pytest.raises(ExtenderError) as error:
        asyncio.run(main())
    assert str(error.value) == message


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
        given = {"urlPrefix": f"https://127.0.0.1:{server.port}", "filterVerb": "filter", "nodeCacheCapable": True}
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
