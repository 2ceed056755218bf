"""Where tests write: in memory where there is plenty; at each commit a store or a database awaits its disk.

It changes nothing that a test sees. Whoever names a folder by `TMPDIR` has theirs.
"""

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")
SPARE_BYTES = 4 << 30


def is_roomy(folder: Path) -> bool:
    """Whether a folder has room for all that tests write, programs that they start among it."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= SPARE_BYTES and not found.f_flag & os.ST_NOEXEC


def write_in_memory() -> None:
    """Let temporary folders of this process and of its children lie in memory, if nobody said where."""
    if "TMPDIR" not in os.environ and is_roomy(MEMORY):
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def open_to_all() -> str:
    """Return the folder in which other users of the machine may have theirs."""
    return str(MEMORY) if tempfile.gettempdir() == str(MEMORY) else "/tmp"
