"""Upgrade and rollback: killed anywhere, refused when too new; the release before runs on the result."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from conformance.upgrade_rig import APART
from releases import FOLDER, columns_of, contractions, make_database
from schema_file import place_schema
from wattkeeper.data.upgrades.steps import LOCK_WAIT_MS
from wattkeeper.data.upgrades.versions import OLDEST_SERVED

pytestmark = [pytest.mark.slow, pytest.mark.first]
TESTS = Path(__file__).resolve().parents[1]
SHELL = "from wattkeeper.interfaces.cli.main import main; main()"


def environment(folder: Path, url: str = "") -> dict[str, str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("WATTKEEPER", "DJANGO"))
    }
    return clean | {
        "WATTKEEPER_DATA": str(folder),
        "WATTKEEPER_DATABASE": url,
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "src")]),
    }


def rig(folder: Path, *arguments: object, url: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "conformance.upgrade_rig", *map(str, arguments)],
        env=environment(folder, url),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def shell(folder: Path, *arguments: str, url: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", SHELL, *arguments],
        env=environment(folder, url) | more,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def before(folder: Path) -> Path:
    """Make a data folder as the release before left it."""
    folder.mkdir(parents=True, exist_ok=True)
    make_database(folder / "registry.sqlite3")
    return folder


@dataclass(frozen=True)
class Upgraded:
    """A data folder of the release before, upgraded, and how many statements that took; left as it is."""

    folder: Path
    statements_count: int

    def copy(self, folder: Path) -> Path:
        """Return a copy to work on."""
        return Path(shutil.copytree(self.folder, folder))


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Upgraded:
    folder = before(tmp_path_factory.mktemp("upgraded") / "home")
    done = rig(folder, "upgrade")
    assert done.returncode == 0, done.stderr
    return Upgraded(folder, json.loads(done.stdout)["statements"])


def killed_upgrades(folder: Path, upgraded: Upgraded, numbers: list[int]) -> list[str]:
    """Kill an upgrade of the release before at each statement; return what went wrong afterwards."""
    faults = []
    expected = columns_of(upgraded.folder / "registry.sqlite3")
    for number in numbers:
        place = before(folder / f"killed-{number}")
        died = rig(place, "upgrade", number)
        assert died.returncode == -signal.SIGKILL, died.stderr
        again = rig(place, "upgrade")
        if again.returncode:
            faults.append(f"{number}: {again.stderr.strip().splitlines()[-1]}")
        elif columns_of(place / "registry.sqlite3") != expected:
            faults.append(f"{number}: another schema")
    return faults


def test_rows_of_the_release_before_are_read(tmp_path: Path) -> None:
    folder = before(tmp_path / "home")
    refused = shell(folder, "site", "list")
    assert refused.returncode == 1
    assert "schema.behind" in refused.stderr
    assert shell(folder, "migrate", "--check").returncode == 1
    migrated = shell(folder, "migrate", "--json")
    assert migrated.returncode == 0, migrated.stderr
    assert json.loads(migrated.stdout)["missing"] == []
    assert shell(folder, "migrate", "--check").returncode == 0
    told = json.loads(rig(folder, "read").stdout)
    assert told["breaks"] == [1], "the seed's own record was never in a chain"
    for table, count in {
        "registry_meter": 4,
        "collection_job": 1,
        "billing_bill": 1,
        "accounts_user": 7,
    }.items():
        assert told["counts"][table] == count
    assert "S1" in shell(folder, "site", "list", "--tenant", "ours").stdout


def test_who_has_nothing_is_not_told_to_back_it_up(tmp_path: Path) -> None:
    for verb in (("site", "list"), ("migrate", "--check")):
        refused = shell(tmp_path / "home", *verb)
        assert refused.returncode == 1
        assert "schema.new" in refused.stderr
        assert "back" not in refused.stderr.lower()
    assert shell(tmp_path / "home", "migrate").returncode == 0
    assert shell(tmp_path / "home", "migrate", "--check").returncode == 0


def test_the_release_before_finds_its_schema_in_ours(upgraded: Upgraded, tmp_path: Path) -> None:
    old, new = before(tmp_path / "old"), upgraded.copy(tmp_path / "new")
    assert contractions(old / "registry.sqlite3", new / "registry.sqlite3") == []
    with sqlite3.connect(new / "registry.sqlite3") as database:
        database.execute("ALTER TABLE collection_job DROP COLUMN label")
        database.execute("ALTER TABLE collection_link RENAME COLUMN name TO title")
    assert contractions(old / "registry.sqlite3", new / "registry.sqlite3") == [
        "collection_job.label is gone",
        "collection_link.name is gone",
        "collection_link.title must be given",
    ]


def test_a_newer_schema_is_run_on_only_when_it_says_so(upgraded: Upgraded, tmp_path: Path) -> None:
    for oldest_served, code in ((2, 0), (3, 1)):
        folder = upgraded.copy(tmp_path / str(oldest_served))
        assert rig(folder, "newer", oldest_served).returncode == 0
        for arguments in (("migrate", "--check"), ("migrate",), ("site", "list", "--tenant", "ours")):
            done = shell(folder, *arguments)
            assert done.returncode == code, done.stderr
            assert ("schema.too-new" in done.stderr) == bool(code)
            assert "Traceback" not in done.stderr


def test_an_upgrade_killed_anywhere_is_whole_or_not_begun(upgraded: Upgraded, tmp_path: Path) -> None:
    assert upgraded.statements_count > 30
    numbers = random.Random(3).sample(range(1, upgraded.statements_count + 1), 2)
    assert killed_upgrades(tmp_path, upgraded, numbers) == []


def test_first_starts_at_the_same_time_wait_for_one_another(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: shell(tmp_path / "home", "migrate"), range(4)))
    assert [one.stdout + one.stderr for one in done if one.returncode] == []


@pytest.mark.soak
def test_an_upgrade_killed_at_fifty_places(upgraded: Upgraded, tmp_path: Path) -> None:
    numbers = sorted(random.Random(5).sample(range(1, upgraded.statements_count + 1), 50))
    assert killed_upgrades(tmp_path, upgraded, numbers) == []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


def database_of(url: str, name: str, template: str = "template0") -> str:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def schema_of(url: str, folder: Path) -> Counter[tuple[str, ...]]:
    """Return each statement of a schema as its parts; the order of columns says nothing."""
    if not url:
        with closing(sqlite3.connect(folder / "registry.sqlite3")) as database:
            text = ";\n".join(
                row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql <> ''")
            )
    else:
        if urlsplit(url).scheme == "mariadb":
            text = mariadb_program("mariadb-dump", url, "--no-data", "--routines", "--skip-comments").decode()
        else:
            command = ["pg_dump", "--schema-only", url]
            text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        text = re.sub(r"^\\.*$| AUTO_INCREMENT=\d+", "", text, flags=re.MULTILINE)  # what no two dumps share
    statements = (re.split(r",?\n|, ", statement) for statement in text.split(";\n"))
    return Counter(tuple(sorted(part.strip("() ") for part in statement)) for statement in statements)


@pytest.fixture(scope="module")
def stopped(server: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database of PostgreSQL that has the steps of the release before: a template for others."""
    done = rig(tmp_path_factory.mktemp("none"), "stop", OLDEST_SERVED, url=database_of(server, "stopped"))
    assert done.returncode == 0, done.stderr
    return "stopped"


@dataclass(frozen=True)
class Whole:
    """What an upgrade of a template comes to that nobody killed, and how many statements that took."""

    template: str
    schema: Counter[tuple[str, ...]]
    statements_count: int


def upgraded_from(url: str, folder: Path, template: str) -> Whole:
    """Upgrade a template; a step that is recorded apart from itself ends that."""
    whole = database_of(url, f"whole_of_{template}", template)
    done = rig(folder, "upgrade", APART, url=whole)
    assert done.returncode == 0, done.stderr or "ours records no step apart"
    return Whole(template, schema_of(whole, folder), json.loads(done.stdout)["statements"])


@pytest.fixture(scope="module")
def by_steps(server: str, stopped: str, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What all steps lead to on PostgreSQL: Django takes those of the release before, we the others."""
    return upgraded_from(server, tmp_path_factory.mktemp("none"), stopped)


@pytest.fixture(scope="module")
def at_once(server: str, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """What an empty database of PostgreSQL becomes."""
    return upgraded_from(server, tmp_path_factory.mktemp("none"), "template0")


def killed_on_postgres(url: str, folder: Path, whole: Whole, places_count: int) -> list[str]:
    """Kill an upgrade of the template at each place; return what is not as in one that nobody killed."""
    template, count, faults = whole.template, whole.statements_count, []
    assert count > places_count
    for number in sorted(random.Random(3).sample(range(1, count + 1), places_count)):
        trial = database_of(url, f"killed_{template}_{number}", template)
        assert rig(folder, "upgrade", number, url=trial).returncode == -signal.SIGKILL
        again = rig(folder, "upgrade", url=trial)
        if again.returncode:
            faults.append(f"{number}: {again.stderr.strip().splitlines()[-1]}")
        elif schema_of(trial, folder) != whole.schema:
            faults.append(f"{number}: another schema")
    return faults


def test_an_upgrade_killed_anywhere_on_postgresql(
    server: str, by_steps: Whole, at_once: Whole, tmp_path: Path
) -> None:
    assert killed_on_postgres(server, tmp_path, by_steps, 1) == []
    assert killed_on_postgres(server, tmp_path, at_once, 1) == []


def test_a_step_recorded_apart_is_caught(
    server: str, by_steps: Whole, at_once: Whole, tmp_path: Path
) -> None:
    """Django's own way: killed between a step and its record, the step is there and taken once more."""
    trial = database_of(server, "apart")
    assert rig(tmp_path, "plain", APART, url=trial).returncode == -signal.SIGKILL
    assert "already exists" in rig(tmp_path, "plain", url=trial).stderr
    for ours in (by_steps, at_once):
        assert ours.statements_count > 100, "killed there, it would have come to none"


@pytest.mark.soak
def test_an_upgrade_killed_at_fifty_places_of_postgresql(
    server: str, by_steps: Whole, at_once: Whole, tmp_path: Path
) -> None:
    assert killed_on_postgres(server, tmp_path, by_steps, 50) == []
    assert killed_on_postgres(server, tmp_path, at_once, 50) == []


def test_an_upgrade_does_not_hold_up_a_table_in_use(server: str, stopped: str, tmp_path: Path) -> None:
    """Somebody reads the jobs in a long transaction: the upgrade gives up in a sentence; others read on.

    Who asks behind an upgrade that waits for the table waits as long as it does: a second, as is promised.
    """
    assert LOCK_WAIT_MS == 1000
    url = database_of(server, "busy", stopped)
    died = rig(tmp_path, "upgrade", 0, 'ALTER TABLE "collection_job" ADD COLUMN "beats_count"', url=url)
    assert died.returncode == -signal.SIGKILL
    with psycopg.connect(url) as reader:
        reader.execute("SELECT count(*) FROM collection_job")
        with ThreadPoolExecutor() as pool, psycopg.connect(url, autocommit=True) as other:
            upgrading = pool.submit(shell, tmp_path, "migrate", url=url)
            other.execute("SET lock_timeout = '5s'")
            while wait([upgrading], timeout=0.05).not_done:
                other.execute("SELECT count(*) FROM collection_job")
        assert upgrading.result().returncode == 1
        assert "schema.locked" in upgrading.result().stderr
    assert shell(tmp_path, "migrate", url=url).returncode == 0


ON_NEXT = """
import os
from pathlib import Path
import wattkeeper
from wattkeeper.data.settings import *
assert Path(wattkeeper.__file__).is_relative_to(Path(__file__).parents[1]), "another release's code"
DATABASES["default"]["TEST"] = {"NAME": os.environ["NEXT_REGISTRY"]}
"""


@pytest.fixture(scope="module")
def release_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code and tests of the release before, from this repository's own history."""
    root, commit = TESTS.parent, (FOLDER / f"schema_{OLDEST_SERVED}.commit").read_text().strip()
    known = subprocess.run(["git", "cat-file", "-e", commit], cwd=root, capture_output=True, check=False)
    if known.returncode:
        pytest.skip("the release before is not in this clone's history: git fetch --unshallow")
    folder = tmp_path_factory.mktemp("before")
    archive = subprocess.run(
        ["git", "archive", commit, "src", "tests", "pyproject.toml"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "x"], cwd=folder, input=archive.stdout, check=True)
    (folder / "tests" / "settings_on_next.py").write_text(ON_NEXT)
    return folder


def run_tests_of(release: Path, data: Path, *places: str) -> "subprocess.CompletedProcess[str]":
    """Run a release's own tests of the relational side on the database in a folder."""
    options = ["--reuse-db", "--ds=settings_on_next", "-p", "no:cacheprovider", "-q"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *places, *options, "-m", "not slow and not soak"],
        cwd=release,
        env=environment(data) | {"PYTHONPATH": "", "NEXT_REGISTRY": str(data / "registry.sqlite3")},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


def test_the_release_before_passes_its_tests_on_this_schema(release_before: Path, tmp_path: Path) -> None:
    place_schema(tmp_path)
    assert rig(tmp_path, "upgrade").returncode == 0
    done = run_tests_of(release_before, tmp_path, "tests/unit/data", "tests/unit/actions")
    assert done.returncode == 0, done.stdout[-3000:]
    with sqlite3.connect(tmp_path / "registry.sqlite3") as database:
        assert database.execute("SELECT max(version) FROM upgrades_schemaversion").fetchone() == (2,)
        database.execute("ALTER TABLE collection_job DROP COLUMN label")
    contracted = run_tests_of(release_before, tmp_path, "tests/unit/actions/test_jobs.py")
    assert "no column named label" in contracted.stdout, "the planted contracting step is not caught"


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    with mariadb_server() as url:
        yield url


def mariadb_program(program: str, url: str, *options: str, content: bytes = b"") -> bytes:
    """Return what a program of MariaDB says of a database."""
    parts = urlsplit(url)
    place = [f"--host={parts.hostname}", f"--port={parts.port}", f"--user={parts.username}"]
    command = [program, *place, *options, parts.path[1:]]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def mariadb_database_of(url: str, name: str, content: bytes = b"") -> str:
    parts = urlsplit(url)
    with pymysql.connect(host=parts.hostname, port=parts.port or 0, user=parts.username) as owner:
        owner.cursor().execute(f"CREATE DATABASE {name} COLLATE utf8mb4_bin")
    made = parts._replace(path=f"/{name}").geturl()
    if content:
        mariadb_program("mariadb", made, content=content)
    return made


@pytest.fixture(scope="module")
def mariadb_stopped(mariadb: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What a database of MariaDB holds that has the steps of the release before, as SQL."""
    stopped = mariadb_database_of(mariadb, "stopped")
    done = rig(tmp_path_factory.mktemp("none"), "stop", OLDEST_SERVED, url=stopped)
    assert done.returncode == 0, done.stderr
    return mariadb_program("mariadb-dump", stopped, "--routines", "--skip-extended-insert")


@pytest.mark.parametrize(
    ("version", "statement", "step"),
    [
        (OLDEST_SERVED, "ALTER TABLE `collection_job` ADD COLUMN `beats_count`", "collection.0007_leases"),
        (0, "CREATE TABLE `collection_job`", "begun."),
    ],
)
def test_a_step_cut_off_where_it_can_not_be_undone_is_told(
    mariadb: str, mariadb_stopped: bytes, tmp_path: Path, version: int, statement: str, step: str
) -> None:
    """MariaDB commits each statement: nothing runs on what an interrupted step left, and it says so."""
    mariadb = mariadb_database_of(mariadb, f"cut_off_after_{version}", mariadb_stopped if version else b"")
    died = rig(tmp_path, "upgrade", 0, statement, url=mariadb)
    assert died.returncode == -signal.SIGKILL, died.stderr
    for arguments in (("migrate",), ("migrate", "--check"), ("site", "list")):
        done = shell(tmp_path, *arguments, url=mariadb)
        assert done.returncode == 1
        assert "schema.half-applied" in done.stderr
        assert step in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("statement", ["ADD CONSTRAINT `bill_document_key`", "`billing_bill` DROP INDEX"])
def test_a_step_goes_on_after_a_table_was_read_between_two_of_its_statements(
    mariadb: str, mariadb_stopped: bytes, tmp_path: Path, statement: str
) -> None:
    """MariaDB has committed the first: to take the whole step again would find its key there already."""
    name = f"read_before_{statement[:3].strip('`').lower()}"
    mariadb = mariadb_database_of(mariadb, name, mariadb_stopped)
    done = rig(tmp_path, "beside", 3, statement, url=mariadb)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"was_read": True}
    assert shell(tmp_path, "migrate", "--check", url=mariadb).returncode == 0


def test_a_step_that_a_reader_kept_from_beginning_is_not_half_applied(
    mariadb: str, mariadb_stopped: bytes, tmp_path: Path
) -> None:
    mariadb = mariadb_database_of(mariadb, "read_for_long", mariadb_stopped)
    refused = rig(tmp_path, "beside", 30, "ADD CONSTRAINT `bill_document_key`", url=mariadb)
    assert "schema.locked" in refused.stderr
    assert shell(tmp_path, "migrate", url=mariadb).returncode == 0


def check_same(by_steps: Counter[tuple[str, ...]], at_once: Counter[tuple[str, ...]]) -> None:
    """Compare what all steps lead to with what an empty database becomes."""
    assert by_steps - at_once == Counter(), "only steps make it"
    assert at_once - by_steps == Counter(), "steps don't make it"
    assert by_steps.total() > 150


def test_the_first_schema_is_what_all_steps_lead_to_on_postgresql(by_steps: Whole, at_once: Whole) -> None:
    check_same(by_steps.schema, at_once.schema)


@pytest.mark.parametrize("engine", ["sqlite", "mariadb"])
def test_the_first_schema_is_what_all_steps_lead_to(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = []
    for way in ("plain", "upgrade"):
        (folder := tmp_path / way).mkdir()
        server = request.getfixturevalue("mariadb") if engine == "mariadb" else ""
        url = mariadb_database_of(server, f"made_{way}") if server else ""
        done = rig(folder, way, url=url)
        assert done.returncode == 0, done.stderr
        made.append(schema_of(url, folder))
    check_same(*made)


@pytest.mark.parametrize(
    "change",
    [
        "DROP TRIGGER audit_record_immutable_update",
        "DROP INDEX finding_state",
        "ALTER TABLE collection_job RENAME COLUMN label TO title",
        "ALTER TABLE collection_job ADD COLUMN rank bigint DEFAULT 1 NOT NULL",
    ],
)
def test_another_schema_is_seen(change: str, tmp_path: Path) -> None:
    place_schema(tmp_path)
    before = schema_of("", tmp_path)
    with closing(sqlite3.connect(tmp_path / "registry.sqlite3")) as database:
        database.execute(change)
    assert schema_of("", tmp_path) != before


def test_a_database_that_forgets_what_it_confirmed_is_refused(server: str, tmp_path: Path) -> None:
    url = database_of(server, "forgetful")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("ALTER DATABASE forgetful SET synchronous_commit = off")
    done = shell(tmp_path, "serve", "--port", "49151", url=url)
    assert done.returncode == 1
    assert "database.commits-unsafe" in done.stderr
    assert "Traceback" not in done.stderr
