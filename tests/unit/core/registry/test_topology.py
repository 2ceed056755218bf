"""Topology is dated: who feeds whom depends on the instant."""

import pytest

from wattkeeper.core.registry.topology import (
    InvalidTopology,
    TopologyLink,
    check_topology,
    get_descendants,
)

TREE = [
    TopologyLink(1, 2, 0, None),
    TopologyLink(1, 3, 0, 100),
    TopologyLink(2, 3, 100, None),
    TopologyLink(3, 4, 0, None),
]


def test_a_point_moves_from_one_parent_to_another() -> None:
    check_topology(TREE)
    assert get_descendants(TREE, parent_id=2, at_s=99) == set()
    assert get_descendants(TREE, parent_id=2, at_s=100) == {3, 4}
    assert get_descendants(TREE, parent_id=1, at_s=100) == {2, 3, 4}


def test_two_parents_at_once_are_refused() -> None:
    with pytest.raises(InvalidTopology, match="two-parents"):
        check_topology([TopologyLink(1, 2, 0, None), TopologyLink(3, 2, 50, None)])


def test_a_cycle_is_refused_only_while_it_closes() -> None:
    check_topology([TopologyLink(1, 2, 0, 50), TopologyLink(2, 1, 50, None)])
    with pytest.raises(InvalidTopology, match="cycle"):
        check_topology([TopologyLink(1, 2, 0, 51), TopologyLink(2, 1, 50, None)])
