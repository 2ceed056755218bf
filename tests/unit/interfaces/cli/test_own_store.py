"""A command's own store: one that dies beneath the command is told as that, with its last words."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from wattkeeper.bootstrap.engines import open_store
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli import own_store
from wattkeeper.interfaces.cli.own_store import store_of
from wattkeeper.interfaces.workers.store_address import has_told
from wattkeeper.interfaces.workers.supervisor import Supervisor


def crash_and_ask(folder: Path) -> None:
    """Let the store of a folder crash, as by a fault of its engine, and go on."""
    with store_of(folder):
        store = open_store(folder)
        assert not store.counts(0).raw_reads
        os.kill(json.loads((folder / "run" / "store.json").read_text())["pid"], signal.SIGABRT)
        store.counts(0)


@pytest.mark.slow
def test_a_store_that_crashes_beneath_a_command_says_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(WattkeeperError) as told:
        crash_and_ask(tmp_path)
    assert (told.value.code, told.value.params["status"]) == ("store.ended", -signal.SIGABRT)
    assert "Fatal Python error" in Path(told.value.params["log"]).read_text()


def begin_another_command(folder: Path) -> None:
    with store_of(folder):
        raise AssertionError("it has a store")


def begin_all(folder: Path) -> None:
    supervisor = Supervisor(folder, host="127.0.0.1", port=0, environment={})
    try:
        supervisor.start(("store",))
    finally:
        supervisor.stop()


@pytest.mark.slow
@pytest.mark.parametrize("begin", [begin_another_command, begin_all])
def test_who_begins_meanwhile_is_refused_and_takes_nothing_from_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Path], None]
) -> None:
    """The other command looked for a store before the first one's answered."""
    with store_of(tmp_path):
        monkeypatch.setattr(own_store, "_answers", lambda _folder: False)
        monkeypatch.setenv("WATTKEEPER_DATA", str(tmp_path))
        with pytest.raises(WattkeeperError, match=r"store\.folder-locked"):
            begin(tmp_path)
        assert not open_store(tmp_path).counts(0).raw_reads


def test_an_earlier_stores_word_is_not_its_successors(tmp_path: Path) -> None:
    address = tmp_path / "store.json"
    assert not has_told(address, 7, "")
    address.write_text(before := json.dumps({"pid": 7, "secret": "a"}))
    assert not has_told(address, 7, before), "left by a store that had the same process id"
    address.write_text(json.dumps({"pid": 8, "secret": "b"}))
    assert not has_told(address, 7, before), "of another one"
    assert has_told(address, 8, before)
