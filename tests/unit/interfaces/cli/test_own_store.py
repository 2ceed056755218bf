"""A command's own store: one that dies beneath the command is told as that, with its last words."""

import json
import os
import signal
from pathlib import Path

import pytest

from wattkeeper.bootstrap.engines import open_store
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.cli.own_store import store_of


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
