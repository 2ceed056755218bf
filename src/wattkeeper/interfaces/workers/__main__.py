"""`python -m wattkeeper.interfaces.workers ROLE`: one child of `wattkeeper serve`."""

import signal
import sys
from importlib import import_module

from wattkeeper.interfaces.workers.logs import set_up_logs
from wattkeeper.interfaces.workers.parent import die_with_parent

ROLES = ("store", "headend", "web", "worker", "writer")


def main() -> int:
    """Run one role until it is told to stop."""
    role = sys.argv[1]
    if role not in ROLES:
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor passes the stop on as SIGTERM
    die_with_parent()
    set_up_logs(role)
    code: int = import_module(f"wattkeeper.interfaces.workers.{role}").run()
    return code


if __name__ == "__main__":
    sys.exit(main())
