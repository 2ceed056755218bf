"""The worker child: derives what changed, claims commands, watches over what is late."""

from wattkeeper.bootstrap.roles import run_worker_role


def run() -> int:
    """Work until told to stop."""
    run_worker_role()
    return 0
