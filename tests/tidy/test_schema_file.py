"""A schema that was migrated before is taken only while nothing it depends on has changed."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from schema_file import DATA, digest_of, place_schema


@pytest.fixture
def models(tmp_path: Path) -> Path:
    steps = tmp_path / "vee" / "migrations"
    steps.mkdir(parents=True)
    (steps / "0001_first.py").write_text("fields = 1\n")
    (tmp_path / "rules.py").write_text("")
    return tmp_path


def test_the_same_files_are_the_same_schema(models: Path) -> None:
    before = digest_of(models)
    (models / "vee" / "queries.py").write_text("no schema depends on it")
    assert digest_of(models) == before


@pytest.mark.parametrize("change", ["step edited", "step added", "step renamed", "rule edited"])
def test_a_change_is_another_schema(models: Path, change: str) -> None:
    before, first = digest_of(models), models / "vee" / "migrations" / "0001_first.py"
    {
        "step edited": lambda: first.write_text("fields = 2\n"),
        "step added": lambda: first.with_name("0002_second.py").write_text(""),
        "step renamed": lambda: first.rename(first.with_name("0001_other.py")),
        "rule edited": lambda: (models / "rules.py").write_text("strict = True\n"),
    }[change]()
    assert digest_of(models) != before


def test_steps_import_only_what_is_looked_at() -> None:
    steps = [step.read_text() for step in DATA.glob("*/migrations/*.py")]
    named = {
        name for text in steps for name in re.findall(r"^(?:from|import) (wattkeeper\S*)", text, re.MULTILINE)
    }
    assert named == {"wattkeeper.data.rules", "wattkeeper.data.sealing.fields"}, "name the others in MADE_OF"


def test_a_folder_gets_a_registry_without_rows(tmp_path: Path) -> None:
    place_schema(tmp_path / "home")
    with closing(sqlite3.connect(tmp_path / "home" / "registry.sqlite3")) as registry:
        assert registry.execute("SELECT count(*) FROM registry_tenant").fetchone() == (0,)
        assert registry.execute("SELECT count(*) FROM django_migrations").fetchone() > (30,)
