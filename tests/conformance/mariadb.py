"""A real MariaDB for tests: `with mariadb_server() as url`."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql
import pytest

from conformance.servers import folder_of, ordinary_user, own_copy, running
from ports import free_port

LOG_FILE = "--innodb-log-file-size=16M"  # of 96 it would be most of what is written, and read for secrets


def mariadb_binaries() -> tuple[Path, Path]:
    """Return the server and the program that makes its system tables, or skip where there are none."""
    server, install = Path("/usr/sbin/mariadbd"), shutil.which("mariadb-install-db")
    if not server.exists() or install is None:
        pytest.skip("no MariaDB server on this machine: apt-get install -y mariadb-server")
    return server, Path(install)


@contextmanager
def mariadb_server(certificate: Path | None = None) -> Iterator[str]:
    """Start a server with one empty database and give its URL; over TLS too with a certificate."""
    (server, install), user, port = mariadb_binaries(), ordinary_user(), free_port()
    with folder_of(user) as folder:
        subprocess.run(
            [
                install,
                "--no-defaults",
                LOG_FILE,
                f"--datadir={folder / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        command = [
            str(server),
            "--no-defaults",
            LOG_FILE,
            f"--datadir={folder / 'data'}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--innodb-flush-log-at-trx-commit=0",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_bin",
        ]
        if certificate is None:
            command.append("--skip-ssl")
        else:
            file = own_copy(certificate, folder, user)
            command += [f"--ssl-cert={file}", f"--ssl-key={file}"]

        def is_ready() -> bool:
            try:
                with pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True) as owner:
                    owner.cursor().execute("CREATE DATABASE IF NOT EXISTS wattkeeper COLLATE utf8mb4_bin")
                    owner.cursor().execute("CREATE USER IF NOT EXISTS wattkeeper@'127.0.0.1'")
                    owner.cursor().execute("GRANT ALL ON *.* TO wattkeeper@'127.0.0.1'")
            except pymysql.OperationalError:
                return False
            return True

        with running(command, user=user, folder=folder, is_ready=is_ready):
            yield f"mariadb://wattkeeper@127.0.0.1:{port}/wattkeeper"
