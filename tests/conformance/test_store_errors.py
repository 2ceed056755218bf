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


@pytest.mark.parametrize("count", [10, 1_000_000])
def test_a_question_in_blocks_that_fails_is_refused_whole(tmp_path: Path, count: int) -> None:
    halfway = f"SELECT throwIf(number = {count - 1}) AS thrown FROM numbers({count})"
    halfway += " SETTINGS max_block_size = 1000 FORMAT Native"
    with running_store(tmp_path) as store:
        for value in range(3):
            with pytest.raises(StoreRefused):
                store._blocks(halfway)
            (answer,) = store._blocks(f"SELECT toInt64({value}) AS value FORMAT Native")
            assert answer["value"].tolist() == [value]


def test_an_empty_answer_counts_only_if_it_is_said_to_be_one(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        assert store._blocks("SELECT number FROM numbers(0) FORMAT Native") == []
        with pytest.raises(StoreRefused):
            store._blocks("SELECT number FROM numbers(0) FORMAT Null")
