"""Where objects are asked for."""

import pytest

from heeler.objects.value import GroupVersionResource

ROLES = GroupVersionResource("rbac.authorization.k8s.io", "v1", "roles")


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("system:node.x_y", "system:node.x_y"),
        ("a b", "a%20b"),
        ("../etc", "%2E%2E%2Fetc"),
        ("..", "%2E%2E"),
        ("x%", "x%25"),
        ("x\n", "x%0A"),
    ],
)
def test_a_name_is_one_part_of_the_path_whatever_is_in_it(name: str, last: str) -> None:
    assert ROLES.path("n", name) == f"/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/{last}"
