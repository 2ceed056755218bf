"""The engine keeps its memory from question to question: fresh pages would take a third of its time."""

import os
from importlib import import_module
from pathlib import Path

import pytest

from conformance.stores import running_store

NAME = "JE_MALLOC_CONF"
import_module("wattkeeper.store.process")  # says our words
WORDS = os.environ[NAME].split(",")
QUESTION = "SELECT stats FROM system.jemalloc_stats FORMAT ArrowStream"


def not_as_told(folder: Path) -> list[str]:
    """Which of our words to the engine's allocator it does not follow."""
    with running_store(folder) as store:
        (row,) = store.select(QUESTION).to_pylist()
    told = dict(word.split(":") for word in WORDS)
    lines = row["stats"].replace('"', "").splitlines()
    said = dict(line.strip().partition(": ")[::2] for line in lines if line.startswith("  opt."))
    return [name for name, value in told.items() if said[f"opt.{name}"].split()[0] != value]


def test_the_allocator_does_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME)
    assert not_as_told(tmp_path) == []


def test_an_allocator_that_was_told_nothing_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "")
    assert {"dirty_decay_ms", "narenas"} <= set(not_as_told(tmp_path))
