"""Lanes: as many at a time as there are connections, none lost after an error."""

import os
import threading
from pathlib import Path
from typing import cast

import pytest
from chdb.state.sqlitelike import Connection

from wattkeeper.store.process import Bodies, Engine, Lane


class SlowConnection:
    """Answers once it is let go, and notes how many were asked at the same time."""

    def __init__(self, gate: threading.Semaphore, busy: list[int]) -> None:
        self._gate = gate
        self._busy = busy
        self.is_closed = False

    def query(self, text: str, _format: str = "") -> "SlowConnection":
        self._busy[0] += 1
        self._busy[1] = max(self._busy[:2])
        self._gate.acquire()
        self._busy[0] -= 1
        if text == "fail":
            raise RuntimeError(text)
        return self

    def bytes(self) -> bytes:
        return b"answer"

    def close(self) -> None:
        self.is_closed = True


def lane_of(count: int) -> tuple[Lane, list[SlowConnection], threading.Semaphore, list[int]]:
    gate, busy = threading.Semaphore(0), [0, 0]
    connections = [SlowConnection(gate, busy) for _ in range(count)]
    return Lane(cast("list[Connection]", connections)), connections, gate, busy


def test_no_connection_is_asked_twice_at_a_time() -> None:
    lane, _, gate, busy = lane_of(2)
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(lane.query("ask"))) for _ in range(7)]
    for thread in threads:
        thread.start()
    gate.release(7)
    for thread in threads:
        thread.join(60)
    assert answers == [b"answer"] * 7
    assert busy[1] <= 2


def test_a_connection_is_free_again_after_an_error() -> None:
    lane, _, gate, _ = lane_of(1)
    gate.release(9)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            lane.query("fail")
    assert lane.query("ask") == b"answer"


def test_closing_waits_for_who_is_asking() -> None:
    lane, connections, gate, _ = lane_of(2)
    asking = threading.Thread(target=lambda: lane.query("ask"))
    asking.start()
    closing = threading.Thread(target=lane.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    gate.release(1)
    closing.join(60)
    asking.join(60)
    assert all(connection.is_closed for connection in connections)


def test_to_freeze_a_table_waits_for_who_inserts() -> None:
    (insert, _, insert_gate, _), (other, _, gate, _) = lane_of(1), lane_of(1)
    engine = object.__new__(Engine)
    engine._lanes = {"insert": insert, "interactive": other, "bulk": other}
    gate.release(9)
    freezing = threading.Thread(
        target=lambda: engine.ask("ALTER TABLE raw_read FREEZE WITH NAME 'x'", is_bulk=False)
    )
    freezing.start()
    freezing.join(0.05)
    assert freezing.is_alive()
    assert engine.ask("SELECT 1", is_bulk=True) == b"answer"
    insert_gate.release(1)
    freezing.join(60)
    assert not freezing.is_alive()


def test_a_kept_file_holds_what_was_written_last_and_no_more() -> None:
    bodies = Bodies()
    found = []
    for number, length in enumerate((40 << 20, 9 << 20, 20 << 20, 100)):
        with bodies.lend(length) as body:
            os.write(body, bytes([number]) * length)
            content = Path(f"/proc/self/fd/{body}").read_bytes()
            found.append((body, content == bytes([number]) * length))
    assert [is_right for _, is_right in found] == [True] * 4
    assert len({body for body, _ in found[:3]}) == 1
    assert found[3][0] != found[0][0]


def test_a_file_that_is_lent_is_nobody_elses() -> None:
    bodies = Bodies()
    with bodies.lend(10 << 20) as first, bodies.lend(10 << 20) as second:
        assert first != second
