"""What proves the runs' own counts holds a part of the runs, however many there are."""

import re
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from wattkeeper.store.verify import Check
from wattkeeper.store.verify_written import UNKNOWN, Told, Written, check_written

PART_COUNT = 2_000


class Whole:
    """Runs that wrote a value and a day each, and a store that holds them, but for what was planted."""

    def __init__(self, parts_count: int) -> None:
        self.parts_count = parts_count
        self.told_mix: dict[int, int] = {}
        self.lost = set[int]()

    def spans(self) -> list[tuple[int, int]]:
        return [(1 + part * PART_COUNT, (part + 1) * PART_COUNT) for part in range(self.parts_count)]

    def written(self, first_id: int, last_id: int) -> Written:
        run_id = np.arange(first_id, last_id + 1)
        mixes = np.array([self.told_mix.get(run, run * 7) for run in run_id.tolist()])
        told = Told(run_id, np.ones_like(run_id), mixes)
        return Written(told, told)

    def select(self, query: str) -> pa.Table:
        if "uniqExact" in query and "run_id IN" in query:
            ids = [int(run) for run in re.findall(r"\d+", query.split(" IN ")[1].split(")")[0])]
            return pa.table({"run_id": ids, "distinct_count": [1] * len(ids)})
        first_id, last_id = map(int, re.findall(r"BETWEEN (\d+) AND (\d+)", query)[0])
        run_id = np.array([run for run in range(first_id, last_id + 1) if run not in self.lost])
        names = (
            "first_series_id",
            "last_series_id",
            "first_at_s",
            "last_at_s",
            "rows_count",
            "distinct_count",
        )
        return pa.table(
            {"run_id": run_id, "rows_mix": run_id * 7} | dict.fromkeys(names, np.ones_like(run_id))
        )


def proof_of(held: Whole) -> Check:
    check = Check("store.runs")
    check_written(held, check, held)
    return check


class Hoard(Whole):
    """The fault to catch: all that was looked at is kept."""

    def __init__(self, parts_count: int) -> None:
        super().__init__(parts_count)
        self.kept: list[Written] = []

    def written(self, first_id: int, last_id: int) -> Written:
        self.kept.append(super().written(first_id, last_id))
        return self.kept[-1]


def grows(kind: type[Whole], mixes: dict[int, int]) -> bool:
    """Return whether twenty parts need more memory than two."""
    proof_of(kind(1))  # what is made once is made
    peaks_bytes = []
    for parts_count in (2, 20):
        held = kind(parts_count)
        held.told_mix = mixes
        tracemalloc.start()
        assert proof_of(held).examined_count == parts_count * PART_COUNT
        peaks_bytes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return peaks_bytes[1] >= 1.5 * peaks_bytes[0]


@pytest.mark.parametrize(
    "mixes", [{}, dict.fromkeys(range(1, 20 * PART_COUNT), UNKNOWN)], ids=["all", "none"]
)
def test_memory_is_that_of_a_part(mixes: dict[int, int]) -> None:
    """Whether the sums are known, or those of an earlier release that kept none."""
    assert not grows(Whole, mixes)


def test_memory_of_all_parts_is_seen() -> None:
    assert grows(Hoard, {})


def test_what_is_not_summed_is_told_once_of_all_parts() -> None:
    held = Whole(3)
    held.told_mix = {1: UNKNOWN, 2 * PART_COUNT: UNKNOWN, 3 * PART_COUNT: UNKNOWN}
    of = {"runs": 3, "of": 3 * PART_COUNT}
    found = proof_of(held)
    assert [(told.code, told.place) for told in found.unproved] == [
        ("verify.runs-unsummed", of),
        ("verify.sums-unsummed", of),
    ]
    assert not found.faults


def test_a_run_of_which_nothing_is_left_is_found_at_either_end_of_a_part() -> None:
    held = Whole(2)
    held.lost = {1, PART_COUNT, PART_COUNT + 1, 2 * PART_COUNT}
    found = {(fault.code, fault.place["run_id"]) for fault in proof_of(held).faults}
    assert found == {(code, run) for run in held.lost for code in ("verify.run-short", "verify.sums-short")}
