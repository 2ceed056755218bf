"""A question that fails halfway says so, and leaves nothing of itself in the answers that follow."""

from pathlib import Path

import pytest

from conformance.stores import running_store
from wattkeeper.store.transport import StoreRefused

HALFWAY = "SELECT throwIf(number = 3) AS thrown, number FROM numbers(10) FORMAT ArrowStream"


def test_a_failed_question_does_not_speak_in_the_next_answer(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        for _ in range(5):
            with pytest.raises(StoreRefused):
                store.select(HALFWAY)
            for value in range(4):
                answer = store.select(f"SELECT {value} AS value FORMAT ArrowStream")
                assert answer.to_pylist() == [{"value": value}]
