"""A child does not outlive the one who started it: the kernel passes the parent's death on as SIGTERM."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGTERM when the parent dies, or end where it has died before one could ask.

    Where there is no such request, only the latter.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent_pid:
        signal.raise_signal(signal.SIGTERM)
