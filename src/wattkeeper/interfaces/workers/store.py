"""The store child: the only owner of the embedded engine's folder."""

from wattkeeper.bootstrap.roles import run_store_role


def run() -> int:
    """Serve the embedded engine until told to stop."""
    run_store_role()
    return 0
