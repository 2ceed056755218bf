"""Files and databases that don't do what they should are told in a sentence, in both languages."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest
from django.db.utils import DatabaseError, OperationalError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.messages import LANGUAGES, sentence
from wattkeeper.interfaces.unforeseen import SAID_BY_SQLITE, explain
from wattkeeper.interfaces.workers.child_log import why_it_ended


def os_error(number: int, file: str | None = "/data/run/store.json") -> OSError:
    return OSError(number, os.strerror(number), file)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (os_error(errno.EACCES), "files.denied"),
        (os_error(errno.EROFS), "files.denied"),
        (os_error(errno.ENOTDIR), "files.unusable"),
        (os_error(errno.ENOSPC), "shell.disk-full"),
        (OSError(errno.ENOSPC, "No space left on device"), "shell.disk-full"),
        (os_error(errno.ECONNREFUSED, None), "shell.unexpected"),
        (sqlite3.OperationalError("database or disk is full"), "shell.disk-full"),
        (OperationalError("attempt to write a readonly database"), "shell.database-unusable"),
        (DatabaseError("file is not a database"), "shell.database-damaged"),
        (OperationalError("connection failed: port 5432 failed"), "shell.database-unreachable"),
        (OperationalError("(2003, \"Can't connect to MySQL server on 'x'\")"), "shell.database-unreachable"),
        (OperationalError("no such table: x"), "shell.database-unready"),
        (DatabaseError(), "shell.unexpected"),
        (KeyError("x"), "shell.unexpected"),
        (WattkeeperError("store.disk-full"), "store.disk-full"),
    ],
)
def test_what_nobody_foresaw_has_a_code(error: Exception, code: str) -> None:
    assert explain(error).code == code


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENOENT])
def test_the_system_s_reasons_are_said_in_chinese(number: int) -> None:
    told = explain(os_error(number))
    assert os.strerror(number) in sentence(told.code, told.params, "en")
    assert os.strerror(number) not in sentence(told.code, told.params, "zh-hans")


def test_what_sqlite_says_has_a_sentence() -> None:
    for reason, code in SAID_BY_SQLITE.items():
        for language in LANGUAGES:
            text = sentence(code, {"reason": reason}, language)
            assert code not in text
            assert (reason in text) <= (language == "en")


def test_every_code_of_files_and_databases_has_a_sentence() -> None:
    for code in ("files.denied", "files.unusable", "shell.disk-full", "shell.database-unreachable"):
        assert all(code not in sentence(code, {"file": "f", "reason": "r"}, own) for own in LANGUAGES)


def test_a_real_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "registry").write_bytes(b"hello " * 200)
    with pytest.raises(sqlite3.DatabaseError) as caught:
        sqlite3.connect(tmp_path / "registry").execute("SELECT * FROM sqlite_master")
    assert explain(caught.value).code == "shell.database-damaged"


REFUSED = b'{"code": "store.folder-unusable", "folder": "/x", "reason": "why", "event": "role.refused"}\n'


@pytest.mark.parametrize(
    ("log", "begins_bytes", "code"),
    [
        (REFUSED, 0, "store.folder-unusable"),
        (REFUSED, len(REFUSED), "serve.child-failed"),  # of an earlier start
        (REFUSED + b"Traceback\n", 0, "serve.child-failed"),
        (b'{"event": "headend.plan"}\n', 0, "serve.child-failed"),
        (b"[1]\n", 0, "serve.child-failed"),
    ],
)
def test_a_child_that_refused_says_why(tmp_path: Path, log: bytes, begins_bytes: int, code: str) -> None:
    (tmp_path / "store.log").write_bytes(log)
    assert why_it_ended("store", tmp_path / "store.log", begins_bytes).code == code
