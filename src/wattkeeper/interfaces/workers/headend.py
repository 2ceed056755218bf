"""The head-end child: reads devices, keeps the spool, carries commands."""

from wattkeeper.bootstrap.ready import set_up_role


def run() -> int:
    """Collect until told to stop."""
    set_up_role()
    from wattkeeper.bootstrap.headend_role import run_headend_role

    run_headend_role()
    return 0
