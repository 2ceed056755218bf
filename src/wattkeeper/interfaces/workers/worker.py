"""The worker child: derives what changed and lets approved commands go."""

from wattkeeper.bootstrap.ready import set_up_role


def run() -> int:
    """Work until told to stop."""
    set_up_role()
    from wattkeeper.bootstrap.worker_role import run_worker_role

    run_worker_role()
    return 0
