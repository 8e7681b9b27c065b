"""A hundred seeds of the simulation, and every seed that once found something: each runs as it did then, and holds now."""

from __future__ import annotations

import pytest

from heeler.testing.seeds import describe, run_seed

SEEDS, AT_ONCE = 100, 10

#: Seeds that broke something before it was mended. What they draw changes when the tables do; the mend has a test of its own.
FOUND = {
    1911: "a Job noted a running pod as failed a second time when its finalizer could not be removed at once",
    224: "a quota was never counted again after the controllers had been down while a pod went",
    157: "late events brought back a pod that its Job had counted, and it was counted again",
    2593: "a pod came to a node before its victims elsewhere were gone, which went for nothing",
    370: "a DaemonSet's status left out a daemon whose Node was deleted and made anew",
    20: "a StatefulSet that was deleted with its pods left orphaned stumbled over its own revision",
}


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_whatever_goes_wrong_nothing_that_must_hold_breaks_and_everything_converges(first):
    failed = [outcome for seed in range(first, first + AT_ONCE) if (outcome := run_seed(seed)).failed]
    assert not failed, "\n".join(describe(outcome) for outcome in failed)


@pytest.mark.parametrize("seed", sorted(set(FOUND) - set(range(SEEDS))))
def test_a_seed_that_once_found_something_holds(seed):
    outcome = run_seed(seed)
    assert not outcome.failed, describe(outcome)


def test_a_seed_is_the_same_whenever_it_runs():
    assert run_seed(5).told == run_seed(5).told
