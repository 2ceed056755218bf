"""A file that several make at once is whole for each of them, and the same."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.environment import read_secret
from wattkeeper.data.files import make_once

PROCESSES = 8
ROUNDS = 40


def hasty(path: Path) -> str:
    """Fill the file in its own place: who comes second may find it empty."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    time.sleep(0.001)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret := os.urandom(36).hex())
    return secret


def is_same_for_all(read: Callable[[Path], str], folder: Path) -> bool:
    with ThreadPoolExecutor(PROCESSES) as pool:
        for turn in range(ROUNDS):
            start = Barrier(PROCESSES)

            def first(path: Path, start: Barrier = start) -> str:
                start.wait()
                return read(path)

            found = set(pool.map(first, [folder / f"{turn}.key"] * PROCESSES))
            if len(found) != 1 or "" in found:
                return False
    return True


def test_who_starts_at_the_same_time_has_the_same_secret(tmp_path: Path) -> None:
    assert is_same_for_all(read_secret, tmp_path)
    assert len(list(tmp_path.iterdir())) == ROUNDS


def test_a_secret_filled_in_its_place_is_seen_empty(tmp_path: Path) -> None:
    assert not is_same_for_all(hasty, tmp_path)


def test_the_first_stays_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.key"
    make_once(path, b"first", mode=0o400)
    make_once(path, b"second", mode=0o600)
    assert path.read_bytes() == b"first"
    assert path.stat().st_mode & 0o777 == 0o400
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", ["", "short"])
def test_a_secret_cut_off_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret.key").write_text(content)
    with pytest.raises(WattkeeperError) as refused:
        read_secret(tmp_path / "secret.key")
    assert refused.value.code == "settings.secret-damaged"
