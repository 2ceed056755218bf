"""What tests write lies in memory where there is plenty, and where it always did where there is little."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import memory

ROOMY = SimpleNamespace(f_bavail=1 << 20, f_frsize=4096, f_flag=0)


@pytest.fixture(autouse=True)
def nobody_said_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", "/elsewhere")
    monkeypatch.setattr(memory, "MEMORY", tmp_path)


@pytest.mark.parametrize(
    ("change", "place"),
    [({}, None), ({"f_bavail": (1 << 20) - 1}, "/elsewhere"), ({"f_flag": os.ST_NOEXEC}, "/elsewhere")],
    ids=["roomy", "little room", "no program may run there"],
)
def test_where(
    change: dict[str, int], place: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _folder: SimpleNamespace(**vars(ROOMY) | change))
    memory.write_in_memory()
    assert tempfile.gettempdir() == (place or str(tmp_path))
    assert os.environ.get("TMPDIR") == (None if place else str(tmp_path))
    assert memory.open_to_all() == ("/tmp" if place else str(tmp_path))


def test_who_names_a_folder_has_theirs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", "/theirs")
    memory.write_in_memory()
    assert (os.environ["TMPDIR"], tempfile.gettempdir()) == ("/theirs", "/elsewhere")


def test_a_machine_without_such_a_folder_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "none")
    memory.write_in_memory()
    assert tempfile.gettempdir() == "/elsewhere"
