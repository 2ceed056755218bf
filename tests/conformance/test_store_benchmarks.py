"""The store's benchmarks at a part of their size: each compares what is stored with what it gave."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.postgres import postgres_binaries
from wattkeeper.store.api import RawBatch

pytestmark = pytest.mark.slow
INGEST = (200_000, 20)  # values, and meters of one batch
YEAR_VALUES = 365 * 96
SERIES_COUNT = 30


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def run(name: str, *arguments: Any) -> dict[str, Any]:
    result: dict[str, Any] = import_module(name).run(*arguments)
    return result


def test_ingest(benchmarks: None, tmp_path: Path) -> None:
    result = run("store_ingest", tmp_path, *INGEST, 100)
    assert result["is_right"]
    assert result["goal"] == {"values_per_core_s": ">= 4000000"}
    assert all("skipped" in peer or peer["is_right"] for peer in result["peers"].values())


def test_a_read_lost_on_its_way_to_postgresql_is_seen(
    benchmarks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_binaries()
    peers = import_module("peers")
    texts = peers._texts

    def lose_one(*given: Any) -> Any:
        yield from (text.split(b"\n", 1)[1] for text in texts(*given))

    monkeypatch.setattr(peers, "_texts", lose_one)
    reads = (np.array([1, 1]), np.array([1_780_272_000, 1_780_272_900]), np.array([5, 6]))
    assert [peer["is_right"] for peer in peers.postgres_copies([reads]).values()] == [False, False]


def test_a_batch_lost_between_spool_and_store_is_seen(
    benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_one(sink: Any, batches: Sequence[RawBatch]) -> None:
        sink._store.insert_raw(batches[1:] or batches)

    monkeypatch.setattr(import_module("store_rig").Sink, "deliver", lose_one)
    assert not run("store_ingest", tmp_path, *INGEST)["is_right"]


def test_bytes_per_value(benchmarks: None, tmp_path: Path) -> None:
    result = run("store_bytes", tmp_path, 200)
    assert result["is_right"]
    assert result["bytes_per_value"] < result["postgresql"]["bytes_per_value"] / 20


def test_reading_while_reads_come_in_without_a_pause(
    benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("store_billion"), "INGEST_SHARE", 5)
    result = run("store_billion", tmp_path, SERIES_COUNT * YEAR_VALUES, 50)
    assert result["is_right"]
    assert result["is_goal_met"]["series_month_granules_max"]


def test_a_value_changed_in_the_store_is_seen(
    benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    billion = import_module("store_billion")
    fill = billion.fill

    def fill_wrongly(store: Any, series_count: int) -> Any:
        filled = fill(store, series_count)
        store.ask("ALTER TABLE measurement UPDATE value_milliwh = value_milliwh + 1 WHERE series_id = 1")
        return filled

    monkeypatch.setattr(billion, "fill", fill_wrongly)
    assert not run("store_billion", tmp_path, YEAR_VALUES, 20)["is_right"]
