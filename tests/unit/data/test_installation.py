"""What was noted of an installation and is missing, each thing in turn."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.installation import (
    KEY_FILES,
    NOTE,
    check_installation,
    note_installation,
    read_note,
)

URL = "postgresql://me:geheim@db.example:5433/meters"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("WATTKEEPER_DATABASE", "WATTKEEPER_READINGS"):
        monkeypatch.delenv(name, raising=False)
    for name in (*KEY_FILES, "master.key", "registry.sqlite3"):
        (tmp_path / name).write_text(name)
    (tmp_path / "readings").mkdir()
    note_installation(tmp_path)
    return tmp_path


GONE: dict[str, tuple[Callable[[Path], object], str]] = {
    **{
        name: (lambda home, name=name: (home / name).unlink(), "installation.key-missing")
        for name in (*KEY_FILES, "master.key")
    },
    **{
        f"another {name}": (
            lambda home, name=name: (home / name).write_text("x"),
            "installation.key-other",
        )
        for name in KEY_FILES
    },
    "registry": (lambda home: (home / "registry.sqlite3").unlink(), "installation.database-missing"),
    "readings": (lambda home: (home / "readings").rmdir(), "installation.readings-missing"),
    "note": (lambda home: (home / NOTE).write_text('{"database": "ow'), "installation.note-damaged"),
    "fields": (lambda home: (home / NOTE).write_text('{"data": 1}'), "installation.note-damaged"),
}


def code_of(home: Path) -> str | None:
    try:
        check_installation(home)
    except WattkeeperError as error:
        return error.code
    return None


@pytest.mark.parametrize("what", GONE)
def test_each_thing_that_is_gone_is_told(home: Path, what: str) -> None:
    assert code_of(home) is None
    take_away, code = GONE[what]
    take_away(home)
    assert code_of(home) == code
    note_installation(home)
    assert code_of(home) is None


def test_a_lost_setting_is_no_new_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTKEEPER_DATABASE", URL)
    monkeypatch.setenv("WATTKEEPER_READINGS", "clickhouse://me:geheim@ch.example:8123/readings")
    assert code_of(home) == "installation.database-other"
    note_installation(home)
    assert code_of(home) is None
    assert "geheim" not in (home / NOTE).read_text()
    monkeypatch.setenv("WATTKEEPER_DATABASE", URL.replace("geheim", "another"))
    assert code_of(home) is None, "a new password is the same database"
    monkeypatch.delenv("WATTKEEPER_READINGS")
    assert code_of(home) == "installation.readings-other"
    monkeypatch.delenv("WATTKEEPER_DATABASE")
    assert code_of(home) == "installation.database-other"


def test_nothing_is_asked_of_a_folder_without_a_note(tmp_path: Path) -> None:
    assert read_note(tmp_path) is None
    assert code_of(tmp_path) is None


def test_a_master_key_that_is_being_exchanged_is_there(home: Path) -> None:
    (home / "master.key").rename(home / "master.key.before")
    assert code_of(home) is None
