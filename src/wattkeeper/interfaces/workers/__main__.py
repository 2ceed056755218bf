"""`python -m wattkeeper.interfaces.workers ROLE PARENT_PID`: one child of `wattkeeper serve`."""

import os
import signal
import sys
from importlib import import_module

import structlog

from wattkeeper.bootstrap.logs import set_up_logs
from wattkeeper.interfaces.unforeseen import explain
from wattkeeper.interfaces.workers.parent import die_with_parent

ROLES = ("store", "headend", "web", "worker", "writer")


def main() -> int:
    """Run one role until it is told to stop."""
    role = sys.argv[1]
    if role not in ROLES:
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor passes the stop on as SIGTERM
    parents = sys.argv[2:]  # none by a `serve` of the release before, which starts children of today's
    die_with_parent(int(parents[0]) if parents else os.getppid())
    set_up_logs(role)
    try:
        code: int = import_module(f"wattkeeper.interfaces.workers.{role}").run()
    except Exception as error:
        told = explain(error)
        if told.code == "shell.unexpected":
            raise
        structlog.get_logger().error("role.refused", code=told.code, **told.params)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
