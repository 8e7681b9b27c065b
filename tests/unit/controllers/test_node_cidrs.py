"""Ranges of pod addresses for nodes."""

import pytest

from heeler.controllers.node_cidrs import CidrSet
from heeler.controllers.node_ipam import sets_of


def test_ranges_are_given_in_order_and_used_again_at_last():
    found = CidrSet("10.244.0.0/22")
    assert [found.take(), found.take()] == ["10.244.0.0/24", "10.244.1.0/24"]
    found.release("10.244.0.0/24")
    assert [found.take(), found.take(), found.take(), found.take()] == [
        *("10.244.2.0/24", "10.244.3.0/24", "10.244.0.0/24", None)
    ]


def test_what_others_have_is_left_out():
    found = CidrSet("10.0.0.0/22", 24)
    found.occupy("10.0.0.128/25")  # a part takes the whole
    found.occupy("10.0.2.0/23")  # and a wider one all that it covers
    found.occupy("192.168.0.0/16")
    found.occupy("fd00::/64")
    found.occupy("nonsense")
    assert [found.take(), found.take()] == ["10.0.1.0/24", None]


def test_the_second_version_of_ip_has_masks_of_its_own():
    four, six = sets_of(("10.0.0.0/26", "fd00::/60"), {4: 28})
    assert (four.mask, six.mask) == (28, 64)
    assert [six.take(), six.take()] == ["fd00::/64", "fd00:0:0:1::/64"]
    assert four.take() == "10.0.0.0/28"


@pytest.mark.parametrize(
    ("cidrs", "masks", "why"),
    [
        ((), {}, "invalid CIDR"),
        (("x",), {}, "does not appear to be"),
        (("10.0.0.0/26",), {}, "mask size of cluster CIDR must be less"),
        (("10.0.0.0/8",), {4: 30}, "too big"),
        (("10.0.0.0/30",), {4: 33}, "no mask"),
    ],
)
def test_ranges_that_can_not_be_cut_are_refused(cidrs, masks, why):
    with pytest.raises(ValueError, match=why):
        sets_of(cidrs, masks)
