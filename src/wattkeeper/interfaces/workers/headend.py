"""The head-end child: reads devices, keeps the spool, carries commands."""

from wattkeeper.bootstrap import setup_django


def run() -> int:
    """Collect until told to stop."""
    setup_django()
    from wattkeeper.bootstrap.headend_role import run_headend_role

    run_headend_role()
    return 0
