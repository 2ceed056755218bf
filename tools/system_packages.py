"""Installs the system packages that the tests start as real peers: broker, databases, browser, fonts."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def has_server(pattern: str) -> bool:
    """Whether a server binary that Debian keeps off the PATH is there."""
    return any(Path("/").glob(pattern))


NEEDED = {
    "mosquitto": lambda: has_server("usr/sbin/mosquitto"),
    "postgresql": lambda: has_server("usr/lib/postgresql/*/bin/postgres"),
    "mariadb-server": lambda: has_server("usr/sbin/mariadbd"),
    "chromium": lambda: shutil.which("chromium") is not None,
    "fonts-wqy-microhei": lambda: has_server("usr/share/fonts/truetype/wqy/wqy-microhei.ttc"),
    "gcc": lambda: shutil.which("gcc") is not None,
    "fuse3": lambda: shutil.which("fusermount3") is not None,
    "e2fsprogs": lambda: has_server("usr/sbin/mkfs.ext4") or has_server("sbin/mkfs.ext4"),
}


def main() -> int:
    """Install what is missing where that is allowed; say one sentence where it is not."""
    missing = [name for name, is_there in NEEDED.items() if not is_there()]
    if not missing:
        return 0
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"Some tests will be skipped; to run them: sudo {' '.join(command)}", file=sys.stderr)
        return 0
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
    if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
        print(
            f"Some tests will be skipped, for these could not be installed: {', '.join(missing)}",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
