"""Whose a bootstrap token is. https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from heeler.apiserver.authenticate.bootstrap_tokens import BootstrapTokens
from heeler.apiserver.user import User

TOKEN = "07401b.f395accd246ae52d"
DATA = {
    "token-id": "07401b",
    "token-secret": "f395accd246ae52d",
    "expiration": "2030-01-01T00:00:00Z",
    "usage-bootstrap-authentication": "true",
    "auth-extra-groups": "system:bootstrappers:worker,system:bootstrappers:ingress",
}


class Moment:
    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


def user(token: str = TOKEN, *, now: float = 1_890_000_000.0, secret: Any = None, **data: str | None) -> User | None:
    texts = {key: value for key, value in {**DATA, **data}.items() if value is not None}
    held = {
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-07401b"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()},
        **(secret or {}),
    }
    there = {("", "secrets", "kube-system", "bootstrap-token-07401b"): held}
    return BootstrapTokens(lambda *where: there.get(where), Moment(now)).user(token)


def test_a_token_names_its_user_and_groups() -> None:
    found = user()
    assert found is not None and found.name == "system:bootstrap:07401b"
    assert found.groups == (
        "system:bootstrappers",
        "system:bootstrappers:ingress",
        "system:bootstrappers:worker",
        "system:authenticated",
    )
    assert user(**{"auth-extra-groups": None, "expiration": None}) is not None


@pytest.mark.parametrize(
    "data",
    [
        {"token-secret": "f395accd246ae52e"},
        {"token-secret": None},
        {"token-id": "07401c"},
        {"usage-bootstrap-authentication": "True"},
        {"usage-bootstrap-authentication": None},
        {"expiration": "2020-01-01T00:00:00Z"},
        {"expiration": "tomorrow"},
        {"auth-extra-groups": "system:masters"},
        {"auth-extra-groups": "system:bootstrappers:worker,system:bootstrappers:-"},
    ],
)
def test_a_secret_that_is_not_right_lets_nobody_in(data: dict[str, str | None]) -> None:
    assert user(**data) is None


def test_nor_does_another_secret_or_text() -> None:
    assert user(secret={"type": "Opaque"}) is None
    assert user(secret={"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}}) is None
    for token in ("07401b.f395accd246ae52", "07401B.f395accd246ae52d", "07401c.f395accd246ae52d", f"{TOKEN}\n", ""):
        assert user(token) is None
    assert user(now=1_893_456_000.0) is None  # the moment of its end
