"""How containers of simulated pods end."""

import pytest

from heeler.kubelet.simulated_ends import ANNOTATION, Run, problem, runs


def pod(text: str) -> dict[str, object]:
    return {"metadata": {"name": "p", "annotations": {ANNOTATION: text}}}


def test_runs_are_read_in_turn() -> None:
    assert runs(pod("1@5, 0@2.5")) == [Run(1, 5.0), Run(0, 2.5)]
    assert runs({"metadata": {"name": "p"}}) == []


@pytest.mark.parametrize(
    "text",
    ["bogus", "1@", "@5", "256@1", "999999999999999999999@1", "-1@1", "0@-1", "0@inf", "0@nan", "0@1,,1@1", "1@5;0@2"],
)
def test_what_cannot_be_read_is_said(text: str) -> None:
    if text == "1@":
        assert problem(pod(text)) == ""  # at once
        return
    assert problem(pod(text)).startswith(f'the annotation heeler.dev/exit is "{text}": write CODE@SECONDS')
