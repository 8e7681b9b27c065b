"""What is taken out of a bug report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heeler.local import redact

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"token {JWT} was used", "token <removed> was used"),
        (f"a\n{KEY}\nb", "a\n<removed>\nb"),
        ("Authorization: Bearer abcdef0123", "Authorization: Bearer <removed>"),
        ("postgres://app:hunter2@db/app", "postgres://app:<removed>@db/app"),
        ("DB_PASSWORD=hunter2 LEVEL=info", "DB_PASSWORD=<removed> LEVEL=info"),
        ('{"apiKey": "abc", "name": "x"}', '{"apiKey": <removed>, "name": "x"}'),
        ("use abcdef.0123456789abcdef to join", "use <removed> to join"),
        ("    client-key-data: LS0t", "    client-key-data: <removed>"),
        ("pods is forbidden: User cannot list", "pods is forbidden: User cannot list"),
        ("image registry.k8s.io/pause:3.10", "image registry.k8s.io/pause:3.10"),
    ],
)
def test_texts(before: str, after: str) -> None:
    assert redact.text(before) == after


def test_a_secret_keeps_its_keys_only() -> None:
    secret = {
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2", "a": "b"},
        },
        "data": {"password": "aHVudGVyMg=="},
        "type": "Opaque",
    }
    found = redact.obj(secret)
    assert found["data"] == {"password": "<removed>"}
    assert found["metadata"]["annotations"] == {"a": "b"}
    assert found["type"] == "Opaque"
    assert secret["data"] == {"password": "aHVudGVyMg=="}, "the given object stays as it is"


def test_environment_variables_and_fields_are_told_by_their_names() -> None:
    pod = {
        "kind": "Pod",
        "spec": {
            "containers": [
                {
                    "env": [
                        {"name": "DB_PASSWORD", "value": "hunter2"},
                        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
                        {"name": "LEVEL", "value": "debug"},
                    ],
                    "args": ["--token=abcdef"],
                }
            ],
            "volumes": [{"secret": {"secretName": "s"}}],
        },
    }
    (container,) = redact.obj(pod)["spec"]["containers"]
    assert [e.get("value") for e in container["env"]] == ["<removed>", None, "debug"]
    assert container["env"][1] == pod["spec"]["containers"][0]["env"][1]
    assert container["args"] == ["--token=<removed>"]
    assert redact.obj(pod)["spec"]["volumes"] == [{"secret": {"secretName": "s"}}]


@given(st.text(min_size=12, max_size=40, alphabet=st.characters(min_codepoint=48, max_codepoint=122)))
def test_no_bearer_token_gets_through(token: str) -> None:
    plain = "".join(c for c in token if c.isalnum()) + "0123456789"
    assert plain not in redact.text(f"curl -H 'Authorization: Bearer {plain}' https://x")
