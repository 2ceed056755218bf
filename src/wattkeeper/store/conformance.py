"""What every engine promises, as checks that anybody can run against theirs.

Call `check_all(store)` with an empty store, or each of `CHECKS` with a store of its own. A check raises
`AssertionError` where the promise is broken.
"""

from wattkeeper.store import conformance_measured, conformance_reads, conformance_rollups
from wattkeeper.store.api import ReadingStore

CHECKS = tuple(
    value
    for module in (conformance_reads, conformance_measured, conformance_rollups)
    for name, value in vars(module).items()
    if name.startswith("check_")
)


def check_all(store: ReadingStore) -> None:
    """Run every check; each works under a tenant of its own."""
    for check in CHECKS:
        check(store)
