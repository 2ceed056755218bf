"""The head-end child: reads devices, keeps the spool, carries commands."""

from wattkeeper.bootstrap.roles import run_headend_role


def run() -> int:
    """Collect until told to stop."""
    run_headend_role()
    return 0
