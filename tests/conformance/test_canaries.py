"""What is known of people is found nowhere on disk: databases, their logs, ours, spool, uploads, dumps."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pymysql
import pytest

from conformance.canary_home import CANARIES, PLANT
from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from schema_file import place_schema

pytestmark = pytest.mark.slow


def forms_of(text: str) -> set[bytes]:
    """Return how a text may stand in a file: as it is, in hexadecimal, in UTF-16, anywhere inside base64."""
    plain = text.encode()
    found = {plain, plain.hex().encode(), plain.hex().upper().encode(), text.encode("utf-16-le")}
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        found.add(coded[shift and shift + 1 : len(coded) - 4])
    return found


def places_of(texts: dict[str, str], *folders: Path) -> list[str]:
    """Return which text lies in which file."""
    wanted = {name: forms_of(text) for name, text in texts.items()}
    found = []
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        with suppress(FileNotFoundError):  # a server at work takes files of its own away
            content = path.read_bytes()
            found += [
                f"{name} in {path.name}"
                for name, forms in wanted.items()
                if any(form in content for form in forms)
            ]
    return found


@dataclass
class House:
    """An installation's data folder and where its database keeps its files."""

    folder: Path
    url: str
    database_folders: list[Path] = field(default_factory=list)

    def do(self, what: str) -> None:
        """Run a step in a process of its own, its log kept in the data folder."""
        tests = str(Path(__file__).parents[1])
        environment = {**os.environ, "WATTKEEPER_DATA": str(self.folder), "WATTKEEPER_DATABASE": self.url}
        log = self.folder / "log"
        log.mkdir(parents=True, exist_ok=True)
        with (log / f"{what}.log").open("wb") as lines:
            done = subprocess.run(
                [sys.executable, "-m", "conformance.canary_home", str(self.folder), what],
                env={**environment, "PYTHONPATH": tests},
                stdout=lines,
                stderr=lines,
                timeout=120,
                check=False,
            )
        assert done.returncode == 0, (log / f"{what}.log").read_text()[-2000:]

    def places(self, texts: dict[str, str]) -> list[str]:
        """Return which text lies in which file of the installation."""
        return places_of(texts, self.folder, *self.database_folders)


def house_on(url: str, folder: Path, data: Path | None = None) -> House:
    house = House(folder, url, [data] if data else [])
    if not url:
        place_schema(folder)
    house.do("make")
    return house


def folder_told(cursor: "psycopg.Cursor | pymysql.cursors.Cursor", question: str) -> Path:
    cursor.execute(question)
    row = cursor.fetchone()
    assert row is not None
    return Path(row[0])


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mariadb"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An installation full of canaries on each database."""
    folder = tmp_path_factory.mktemp("canaries")
    if request.param == "sqlite":
        yield house_on("", folder)
    elif request.param == "postgresql":
        with postgres_server() as url:
            with psycopg.connect(url) as owner:
                data = folder_told(owner.cursor(), "SHOW data_directory")
            yield house_on(url, folder, data)
    else:
        with mariadb_server() as url:
            port = int(url.rpartition(":")[2].partition("/")[0])
            with pymysql.connect(host="127.0.0.1", port=port, user="root") as owner:
                data = folder_told(owner.cursor(), "SELECT @@datadir")
                owner.cursor().execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
            yield house_on(url, folder, data)


def test_no_canary_lies_anywhere(house: House) -> None:
    assert house.places(CANARIES) == []
    assert house.places({"a code, which is not sealed": "260100000001"}), (
        "the files of the database were read"
    )
    assert list((house.folder / "imports").iterdir()), "a file waits"


def test_no_canary_lies_in_a_dump(house: House, tmp_path: Path) -> None:
    from wattkeeper.actions.operations.relational_dump import dump, dump_name
    from wattkeeper.data.environment import database_from_url

    settings = database_from_url(house.url, house.folder)
    try:
        dump(settings, tmp_path / dump_name(settings))
    except Exception as error:
        if getattr(error, "code", "") != "operations.tool-missing":
            raise
        pytest.skip("the database's own dump program is not on this machine")
    assert places_of(CANARIES, tmp_path) == []
    assert places_of({"a code": "C1"}, tmp_path) or house.url.startswith("postgres"), "compressed there"


def test_a_name_left_plain_is_found_and_then_sealed(house: House) -> None:
    house.do("plain")
    assert house.places({"plant": PLANT}), "the test sees what is not sealed"
    house.do("seal")
    if not house.url:  # a server's own logs of changes keep it until they are used again
        assert house.places({"plant": PLANT}) == []


@pytest.mark.parametrize("where", ["log/web.log", "spool/segment-1.sqlite", "imports/file"])
def test_a_canary_in_any_file_is_found(house: House, where: str) -> None:
    path = house.folder / where
    path.parent.mkdir(exist_ok=True)
    forms = sorted(forms_of("of " + CANARIES["customer"] + " and others"))
    path.write_bytes(b"\n".join(forms))
    try:
        assert house.places(CANARIES) == [f"customer in {path.name}"]
    finally:
        path.unlink()
