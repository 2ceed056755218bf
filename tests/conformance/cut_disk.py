"""A disk in user space whose power can be cut: one file ``disk`` over FUSE, for a loop device.

    python cut_disk.py MOUNT IMAGE

A write is volatile until the kernel flushes; then everything written so far is durable. A line
``PATH SEED KEEP`` on standard input cuts the power: PATH becomes what is left, the durable bytes and,
of the others, each sector with probability KEEP. ``cut`` is printed when it is written.
"""

import errno
import random
import stat
import sys
import threading
from pathlib import Path
from typing import Any

import mfusepy

SECTOR_BYTES = 512
_NAME = "/disk"


class CutDisk(mfusepy.Operations):
    """The disk: what was written, what was flushed, and the writes between."""

    use_ns = True

    def __init__(self, image: bytes) -> None:
        self._live = bytearray(image)
        self._durable = bytearray(image)
        self._volatile: list[tuple[int, bytes]] = []
        self._mutex = threading.Lock()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path == _NAME:
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._live)}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", _NAME[1:]]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._live[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        with self._mutex:
            self._live[offset : offset + len(data)] = data
            self._volatile.append((offset, bytes(data)))
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        with self._mutex:
            for offset, data in self._volatile:
                self._durable[offset : offset + len(data)] = data
            self._volatile.clear()
        return 0

    def flush(self, path: str, fh: int) -> int:
        return 0

    def cut(self, path: Path, seed: int, keep: float) -> None:
        """Write what would be left now."""
        dice = random.Random(seed)
        with self._mutex:
            left = bytearray(self._durable)
            for offset, data in self._volatile:
                for start in range(0, len(data), SECTOR_BYTES):
                    sector = data[start : start + SECTOR_BYTES]
                    if dice.random() < keep:
                        left[offset + start : offset + start + len(sector)] = sector
        path.write_bytes(left)


def obey(disk: CutDisk) -> None:
    """Cut when told to."""
    for line in sys.stdin:
        path, seed, keep = line.split()
        disk.cut(Path(path), int(seed), float(keep))
        print("cut", flush=True)


if __name__ == "__main__":
    served: Any = CutDisk(Path(sys.argv[2]).read_bytes())
    threading.Thread(target=obey, args=(served,), daemon=True).start()
    mfusepy.FUSE(served, sys.argv[1], foreground=True, nothreads=True)
