"""The worker child: derives what changed and lets approved commands go."""

from wattkeeper.bootstrap import setup_django


def run() -> int:
    """Work until told to stop."""
    setup_django()
    from wattkeeper.bootstrap.worker_role import run_worker_role

    run_worker_role()
    return 0
