"""What marks of tests promise is so in this very run."""

from collections import Counter

import pytest


def test_one_of_tests_alike_is_quick(request: pytest.FixtureRequest) -> None:
    alike = [item for item in request.session.items if item.get_closest_marker("alike")]
    quick = Counter(item.nodeid.partition("[")[0] for item in alike if not item.get_closest_marker("slow"))
    assert set(quick.values()) <= {1}


def test_what_is_first_is_first(request: pytest.FixtureRequest) -> None:
    is_first = [bool(item.get_closest_marker("first")) for item in request.session.items]
    assert is_first == sorted(is_first, reverse=True)
