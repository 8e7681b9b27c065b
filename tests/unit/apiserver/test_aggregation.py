"""What APIServices say, and what is made of it."""

import orjson
import pytest

from heeler.apiserver.aggregation import services, swagger, trust
from heeler.apiserver.aggregation.availability import of_service
from heeler.apiserver.aggregation.documents import aggregated
from heeler.apiserver.aggregation.priorities import Priority
from heeler.apiserver.aggregation.services import Remote
from heeler.apiserver.aggregation.transport import escaped, said_of
from heeler.apiserver.user import User
from heeler.base import pki

NOW = 1_767_225_600.0
REMOTE = Remote("v1.a.example.com", "u", "a.example.com", "v1", "ns", "api", 443, "", False, True)


def test_groups_go_by_their_highest_priority_and_versions_by_theirs() -> None:
    found = services.ordered(
        {
            ("b.com", "v1"): Priority(1000, 100),
            ("a.com", "v1beta1"): Priority(1000, 100),
            ("a.com", "v2"): Priority(10, 100),
            ("a.com", "v1"): Priority(10, 200),
            ("c.com", "v1"): Priority(2000, 1),
        }
    )
    assert found == [("c.com", ["v1"]), ("b.com", ["v1"]), ("a.com", ["v1", "v2", "v1beta1"])]


def test_a_condition_that_says_the_same_keeps_its_time() -> None:
    old = services.with_condition({}, services.new_condition("False", "A", "a", "then"))
    same = services.with_condition(old, services.new_condition("False", "B", "b", "now"))
    assert same["status"]["conditions"] == [services.new_condition("False", "B", "b", "then")]
    other = services.with_condition(old, services.new_condition("True", "C", "c", "now"))
    assert other["status"]["conditions"][0]["lastTransitionTime"] == "now"


@pytest.mark.parametrize(
    ("service", "slices", "reason"),
    [
        (None, [], "ServiceNotFound"),
        ({"spec": {"ports": [{"port": 80}]}}, [], "ServicePortError"),
        ({"spec": {"ports": [{"port": 443}]}}, [], "EndpointsNotFound"),
        ({"spec": {"ports": [{"port": 443}]}}, [{"endpoints": [], "ports": [{"port": 1}]}], "MissingEndpoints"),
        (
            {"spec": {"ports": [{"port": 443}]}},
            [{"endpoints": [{"conditions": {"ready": False}}], "ports": [{"port": 1}]}],
            "MissingEndpoints",
        ),
        ({"spec": {"ports": [{"port": 443}]}}, [{"endpoints": [{"addresses": ["a"]}], "ports": [{"port": 1}]}], ""),
        ({"spec": {"type": "ExternalName", "externalName": "api.example.com"}}, [], ""),
    ],
)
def test_what_speaks_against_a_service(service: dict[str, object] | None, slices: list[object], reason: str) -> None:
    found = of_service(REMOTE, service, slices)  # type: ignore[arg-type]
    assert (found.reason if found else "") == reason


def test_a_user_in_headers_breaks_no_line() -> None:
    user = User("a\r\nX-Remote-Group: system:masters", "", ("g",), {"a/b c%": ("v\n",)})
    assert said_of(user) == [
        ("X-Remote-User", "a  X-Remote-Group: system:masters"),
        ("X-Remote-Group", "g"),
        ("X-Remote-Extra-a%2Fb%20c%25", "v "),
    ]
    assert escaped("scopes.example.com") == "scopes.example.com"


def test_plain_discovery_is_aggregated() -> None:
    resources = [
        {"name": "things/status", "kind": "Thing", "verbs": ["get"]},
        {"name": "things", "kind": "Thing", "namespaced": True, "singularName": "thing", "verbs": ["list"]},
        {"name": "lost/scale", "kind": "Scale"},
    ]
    found, lost = aggregated(resources, REMOTE)
    kind = {"group": "a.example.com", "version": "v1", "kind": "Thing"}
    assert found == {
        "resource": "things",
        "responseKind": kind,
        "scope": "Namespaced",
        "singularResource": "thing",
        "verbs": ["list"],
        "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["get"]}],
    }
    assert (lost["resource"], lost["responseKind"]["kind"], lost["scope"]) == ("lost", "", "Cluster")
    assert [one["subresource"] for one in lost["subresources"]] == ["scale"]


def test_authorities_of_several_servers_add_up_and_those_that_ended_go() -> None:
    old, mine, ended = (
        pki.new_authority(name, when).certificate.decode()
        for name, when in (("old", NOW), ("mine", NOW), ("ended", NOW - 4000 * 86400))
    )
    found = trust.Trust("", old + ended, ("other",)).data()
    data = trust.merged({**found, "kept": "x"}, trust.Trust(mine, mine, ("front-proxy-client",)).data(), NOW)
    assert data["requestheader-client-ca-file"] == old + mine
    assert data["client-ca-file"] == mine
    assert orjson.loads(data["requestheader-allowed-names"]) == ["other", "front-proxy-client"]
    assert data["kept"] == "x"
    assert trust.merged(data, trust.Trust(mine, mine, ("front-proxy-client",)).data(), NOW) == data


def test_of_a_document_its_own_paths_and_what_they_lead_to_are_taken() -> None:
    thing = {"properties": {"meta": {"$ref": "#/definitions/Meta"}, "self": {"$ref": "#/definitions/Thing"}}}
    document = {
        "paths": {
            "/apis/a.example.com/v1/things": {"get": {"schema": {"$ref": "#/definitions/Thing"}}},
            "/apis/a.example.com/v1beta1/things": {},
            "/api/v1/pods": {},
        },
        "definitions": {"Thing": thing, "Meta": {"theirs": True}, "Pod": {}},
    }
    part = swagger.part(document, REMOTE.path)
    assert list(part["paths"]) == ["/apis/a.example.com/v1/things"]
    assert sorted(part["definitions"]) == ["Meta", "Thing"]
    whole = swagger.merged({"paths": {"/api": {}}, "definitions": {"Meta": {"ours": True}}}, [part])
    assert sorted(whole["paths"]) == ["/api", "/apis/a.example.com/v1/things"]
    assert whole["definitions"] == {"Meta": {"ours": True}, "Thing": thing}
    assert swagger.part({"paths": []}, REMOTE.path) == {}
