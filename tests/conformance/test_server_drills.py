"""On database servers: restored into empty databases only, drilled every night in one that is for drills.

The hundredth of it that runs every time is in `test_relational_dump`.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from conformance.test_missing_at_start import PREPARE
from conformance.test_operations import environment, shell
from conformance.test_relational_dump import connect_mariadb, connect_postgres
from wattkeeper.actions.operations.relational_dump import mark_drill
from wattkeeper.data.environment import database_from_url

pytestmark = pytest.mark.soak
SECRET = {"WATTKEEPER_BACKUP_PASSPHRASE": "a passphrase nobody guesses"}
Connect = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("server", "connect"), [(postgres_server, connect_postgres), (mariadb_server, connect_mariadb)]
)
def test_an_installation_on_a_server(
    server: Callable[[], AbstractContextManager[str]], connect: Connect, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with server() as url:
        with closing(connect(database_from_url(url, tmp_path))) as owner:
            for name in ("ours", "drills"):
                owner.cursor().execute(f"CREATE DATABASE {name}")
        place = url.rpartition("/")[0]
        own = {
            "WATTKEEPER_DATABASE": f"{place}/ours",
            "WATTKEEPER_DRILL_DATABASE": f"{place}/drills",
        } | SECRET
        subprocess.run([sys.executable, "-c", PREPARE, str(home)], env=environment(home) | own, check=True)
        assert shell(home, "backup", str(tmp_path), **own).returncode == 0
        (file,) = map(str, tmp_path.glob("*.wkbackup"))
        for _night in range(2):
            drilled = shell(home, "restore", file, "--drill", **own)
            assert drilled.returncode == 0, drilled.stderr
        drills = database_from_url(own["WATTKEEPER_DRILL_DATABASE"], tmp_path)
        mark_drill(drills, home / "scratch" / "drill-killed")
        with closing(connect(drills)) as left:
            left.cursor().execute("CREATE TABLE left_behind (id INT)")
        drilled = shell(home, "restore", file, "--drill", **own)
        assert drilled.returncode == 0, drilled.stderr
        refused = shell(home, "restore", file, str(tmp_path / "new"), **own)
        assert "[operations.database-not-empty]" in refused.stderr
        assert not (tmp_path / "new").exists()
        assert shell(home, "audit", "verify", **own).returncode == 0
        mistaken = own | {"WATTKEEPER_DRILL_DATABASE": own["WATTKEEPER_DATABASE"]}
        refused = shell(home, "restore", file, "--drill", **mistaken)
        assert "[operations.database-not-empty]" in refused.stderr
        assert shell(home, "audit", "verify", **own).returncode == 0, "what is in use is not emptied"
