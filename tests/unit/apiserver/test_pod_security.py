"""What a namespace's labels ask for of its pods."""

from __future__ import annotations

import pytest

from heeler.apiserver.admission.pod_security import policy_of
from heeler.workloads.pod_security import Policy


@pytest.mark.parametrize(
    ("labels", "enforced", "warned"),
    [
        ({}, Policy("privileged"), Policy("privileged")),
        ({"enforce": "baseline", "enforce-version": "v1.24"}, Policy("baseline", 24), Policy("baseline", 24)),
        ({"enforce": "baseline", "warn-version": "v1.25"}, Policy("baseline"), Policy("baseline", 25)),
        ({"enforce": "restricted", "warn": "baseline"}, Policy("restricted"), Policy("baseline")),
        ({"enforce": "odd"}, Policy("restricted"), Policy("privileged")),
        ({"enforce": "baseline", "warn": "odd"}, Policy("baseline"), Policy("privileged")),
    ],
)
def test_what_is_enforced_is_warned_of_where_nothing_else_is_said(labels, enforced, warned):
    labels = {f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()}
    assert policy_of(labels, "enforce") == enforced
    assert policy_of(labels, "warn") == warned
