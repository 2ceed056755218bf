"""`-p conformance.shared_out --share 0`, or 1: the parameters of a test are shared out between two runs.

Both try the first, one of them each other one. Who is given no share tries all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the share."""
    parser.addoption("--share", type=int, choices=(0, 1))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to the other run what is its own, once it is known which tests run at all."""
    share = config.getoption("share")
    if share is None:
        return
    is_ours = list(is_of_share((item.nodeid for item in items), share))
    config.hook.pytest_deselected(
        items=[item for item, is_one in zip(items, is_ours, strict=True) if not is_one]
    )
    items[:] = [item for item, is_one in zip(items, is_ours, strict=True) if is_one]


def is_of_share(names: Iterable[str], share: int) -> Iterator[bool]:
    """Yield of each test by its name whether one of two shares, 0 or 1, has it."""
    seen: Counter[str] = Counter()
    for name in names:
        test = name.partition("[")[0]
        yield not seen[test] or seen[test] % 2 == share
        seen[test] += 1
