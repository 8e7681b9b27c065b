"""How answers are written."""

from __future__ import annotations

import pytest

from heeler.apiserver.call import Call
from heeler.apiserver.encode import encode_error
from heeler.apiserver.negotiate import JSON
from heeler.objects.status import not_found


@pytest.mark.parametrize(
    ("agent", "pretty", "lines"),
    [
        ("curl/8.5", None, True),
        ("Wget/1.21", None, True),
        ("Mozilla/5.0 (X11)", None, True),
        ("Mozilla/4.0", None, False),
        ("kubectl/v1.37.1", None, False),
        ("", None, False),
        ("curl/8.5", "", True),
        ("curl/8.5", "0", False),
        ("curl/8.5", "x", False),
        ("kubectl/v1.37.1", "true", True),
    ],
)
def test_people_get_json_in_lines(agent: str, pretty: str | None, lines: bool) -> None:
    """Recorded beside kube-apiserver 1.37.2: `pretty` decides, and without it the user agent."""
    query = {} if pretty is None else {"pretty": [pretty]}
    call = Call("GET", "/api/v1/namespaces/a", query, {"user-agent": agent})
    body = encode_error(not_found("namespaces", "", "a"), call, JSON).body
    assert isinstance(body, bytes)
    assert (b"\n" in body) is lines
