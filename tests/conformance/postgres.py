"""A real PostgreSQL for tests: `with postgres_server() as url`."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from conformance.servers import folder_of, ordinary_user, own_copy, running
from ports import free_port


def postgres_binaries() -> Path:
    """Return the folder of the newest server binaries, or skip the test where there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if not found:
        pytest.skip("no PostgreSQL server on this machine: apt-get install -y postgresql")
    return found[-1].parent


@contextmanager
def postgres_server(certificate: Path | None = None) -> Iterator[str]:
    """Start a server with one empty database and give its URL; over TLS too with a certificate."""
    binaries, user, port = postgres_binaries(), ordinary_user(), free_port()
    with folder_of(user) as folder:
        subprocess.run(
            [binaries / "initdb", "-D", folder / "data", "-U", "wattkeeper", "-A", "trust", "--no-sync"],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(folder), "fsync": "off"}
        settings |= {"dynamic_shared_memory_type": "mmap"}  # in the folder: who is killed leaves nothing else
        if certificate is not None:
            file = own_copy(certificate, folder, user)
            settings |= {"ssl": "on", "ssl_cert_file": str(file), "ssl_key_file": str(file)}
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]

        def is_ready() -> bool:
            try:
                psycopg.connect(f"postgresql://wattkeeper@127.0.0.1:{port}/postgres").close()
            except psycopg.OperationalError:
                return False
            return True

        with running(command, user=user, folder=folder, is_ready=is_ready, ends_by=signal.SIGINT):
            yield f"postgresql://wattkeeper@127.0.0.1:{port}/postgres"
