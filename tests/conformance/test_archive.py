"""Months leave the engine for files and come back bit for bit; nothing is removed that was not read back."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from conformance.stores import running_store
from wattkeeper.core.billing.determinants import RateDayRows
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import archive
from wattkeeper.store.api import RawFrame
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.conformance_data import ALWAYS, INT64_MAX, MONTH_START_S, batch, measured
from wattkeeper.store.schema import TABLES

MONTH = 202603


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReadingStore]:
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def store(running: HttpReadingStore) -> HttpReadingStore:
    """Two tenants' reads, values and frames of March, and the beginning of April."""
    for table in TABLES:
        running.execute(f"TRUNCATE TABLE {table}")
    frames = (RawFrame(1, 2, MONTH_START_S, bytes(range(256))), RawFrame(1, 2, MONTH_START_S, b""))
    for tenant_id in (1, 2):
        rows = [(channel_id, MONTH_START_S + 900 * i, i) for channel_id in (1, 2) for i in range(3200)]
        rows += [(3, MONTH_START_S, INT64_MAX), (3, MONTH_START_S + 1, -INT64_MAX - 1)]
        for batch_id in (1, 2):  # a re-delivery
            running.insert_raw([batch(rows, tenant_id=tenant_id, batch_id=batch_id, frames=frames)])
        running.insert_measurements(
            tenant_id, measured([(1, MONTH_START_S + 900 * i, i, 1) for i in range(3200)])
        )
        running.insert_measurements(tenant_id, measured([(1, MONTH_START_S, 77, 2)]))
        for run_id in (1, 2):  # the second corrects
            running.insert_rate_days(tenant_id, run_id, determinants(31 + 2, energy_milliwh=run_id * 1000))
    return running


def determinants(days_count: int, *, energy_milliwh: int) -> RateDayRows:
    """What two rates held on the days from the first of March on."""
    starts_at_s = MONTH_START_S + 86_400 * np.repeat(np.arange(days_count, dtype=np.int64), 2)
    same = np.ones(2 * days_count, dtype=np.int64)
    rate_index = np.tile(np.arange(2, dtype=np.int64), days_count)
    counts = (same * 48, same * 48, same * 0, same * 0)
    return RateDayRows(same, starts_at_s, same * 7, rate_index, *counts, same * energy_milliwh, same * 0)


def everything(store: HttpReadingStore) -> list[list[object]]:
    """All that readers see."""
    found: list[list[object]] = []
    for tenant_id in (1, 2):
        reads = store.raw_reads(tenant_id, [1, 2, 3], *ALWAYS)
        values = store.measurements(tenant_id, [1], *ALWAYS)
        then = store.measurements(tenant_id, [1], *ALWAYS, as_of_run_id=1)
        names = ("channel_id", "measured_at_s", "value", "flags", "source")  # which batch told it may change
        found += [getattr(reads, name).tolist() for name in names]
        for columns in (values, then):
            found += [getattr(columns, name).tolist() for name in columns.__slots__]
        counts = store.counts(tenant_id)
        rates = store.rate_days(tenant_id, [1], *ALWAYS)
        assert set(rates.energy_milliwh.tolist()) <= {2000}, "the newest run is current"
        found += [getattr(rates, name).tolist() for name in RateDayRows.__slots__]
        found.append([counts.raw_reads, counts.measurements, counts.frames])
        found.append([store.frames(tenant_id, [(1, 0), (1, 1), (2, 0)])])
    return found


def leave(store: HttpReadingStore, folder: Path) -> list[archive.Manifest]:
    """Archive and remove March of every table."""
    manifests = []
    for table in archive.MONTHLY:
        manifest = archive.archive_month(store, folder, table, MONTH)
        assert manifest is not None
        archive.remove_month(store, folder, manifest)
        manifests.append(manifest)
    return manifests


def test_a_month_leaves_and_returns_bit_for_bit(store: HttpReadingStore, tmp_path: Path) -> None:
    before = everything(store)
    manifests = leave(store, tmp_path)
    assert archive.list_manifests(tmp_path) == sorted(manifests, key=lambda found: found.table)
    assert all(archive.is_removed(tmp_path, manifest) for manifest in manifests)
    left = store.raw_reads(1, [1], *ALWAYS)
    assert np.array_equal(left.value, np.arange(31 * 96, 3200)), "April stays"
    assert len(store.rate_days(1, [1], *ALWAYS)) == 2 * 2, "April's determinants too"
    assert not store.frames(1, [(1, 0)])
    for manifest in manifests:
        archive.restore_month(store, tmp_path, manifest)
        archive.restore_month(store, tmp_path, manifest)  # twice is once
    assert everything(store) == before
    assert not any(archive.is_removed(tmp_path, manifest) for manifest in manifests)


def test_what_came_since_stays_beside_what_returns(store: HttpReadingStore, tmp_path: Path) -> None:
    before = everything(store)
    manifests = leave(store, tmp_path)
    late = (1, MONTH_START_S + 7, 5)
    store.insert_raw([batch([late], tenant_id=1, batch_id=3)])
    for manifest in manifests:
        archive.restore_month(store, tmp_path, manifest)
    reads = store.raw_reads(1, [1, 2, 3], *ALWAYS)
    rows = set(
        zip(reads.channel_id.tolist(), reads.measured_at_s.tolist(), reads.value.tolist(), strict=True)
    )
    assert late in rows
    assert len(rows) == len(before[0]) + 1


def test_the_manifest_says_what_is_in_the_file(store: HttpReadingStore, tmp_path: Path) -> None:
    manifest = archive.archive_month(store, tmp_path, "measurement", MONTH)
    assert manifest is not None
    assert manifest.rows_count == 2 * (31 * 96 + 1)
    assert manifest.runs == {"1": 2 * 31 * 96, "2": 2}
    assert manifest.sums["value_milliwh"] == 2 * (sum(range(31 * 96)) + 77)
    assert archive.archive_month(store, tmp_path, "measurement", 199001) is None


@pytest.mark.parametrize("table", ["measurement", "raw_read", "raw_receipt", "raw_frame", "rate_day"])
def test_the_sums_of_a_manifest_are_those_of_its_file(
    store: HttpReadingStore, tmp_path: Path, table: str
) -> None:
    """Also of the largest and the least number of 64 bits, of numbers without a sign and of bytes."""
    manifest = archive.archive_month(store, tmp_path, table, MONTH)
    assert manifest is not None
    assert list(archive.miscounted(tmp_path, manifest)) == []
    for name, told in manifest.sums.items():
        wrong = replace(manifest, sums=dict(manifest.sums) | {name: told + 1})
        assert list(archive.miscounted(tmp_path, wrong)) == [(f"sum of {name}", told + 1, told)]


@pytest.mark.parametrize("content", ['{"table": ', "[]", '{"table": "raw_read"}', '"', "\0"])
def test_a_manifest_that_says_nothing_is_a_clear_error(tmp_path: Path, content: str) -> None:
    place = tmp_path / "raw_read" / str(MONTH) / "manifest.json"
    place.parent.mkdir(parents=True)
    place.write_text(content)
    with pytest.raises(WattkeeperError) as caught:
        archive.away_months(tmp_path)
    assert (caught.value.code, caught.value.params["file"]) == ("store.archive-unreadable", str(place))


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_file_removes_restores_and_destroys_nothing(
    store: HttpReadingStore, tmp_path: Path, damage: str
) -> None:
    manifest = archive.archive_month(store, tmp_path, "raw_read", MONTH)
    assert manifest is not None
    path = manifest.place(tmp_path) / "rows.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    {
        "flip": lambda: path.write_bytes(content),
        "cut": lambda: path.write_bytes(content[:-9]),
        "gone": path.unlink,
    }[damage]()
    before = everything(store)
    assert archive.verify_files(tmp_path, manifest) == ["raw_read/202603/rows.parquet"]
    for act in (
        partial(archive.remove_month, store),
        partial(archive.restore_month, store),
        archive.destroy_month,
    ):
        with pytest.raises(WattkeeperError) as caught:
            act(tmp_path, manifest)
        assert caught.value.code == "store.archive-damaged"
    assert archive.list_manifests(tmp_path) == [manifest]
    assert everything(store) == before


def test_a_month_that_grew_since_it_was_written_stays(store: HttpReadingStore, tmp_path: Path) -> None:
    manifest = archive.archive_month(store, tmp_path, "raw_read", MONTH)
    assert manifest is not None
    store.insert_raw([batch([(1, MONTH_START_S + 3, 1)], tenant_id=1, batch_id=9)])
    before = everything(store)
    with pytest.raises(WattkeeperError) as caught:
        archive.remove_month(store, tmp_path, manifest)
    assert caught.value.code == "store.archive-unequal"
    assert everything(store) == before
    assert not archive.is_removed(tmp_path, manifest)


def test_a_month_that_a_backup_found_set_aside_is_in_its_file(
    store: HttpReadingStore, tmp_path: Path
) -> None:
    """The backup has the file and its mark, and not the table in which the engine had the month."""
    before = everything(store)
    manifest = archive.archive_month(store, tmp_path, "raw_read", MONTH)
    assert manifest is not None
    (manifest.place(tmp_path) / "removed").write_bytes(b"leaving")
    store.execute(f"ALTER TABLE raw_read DROP PARTITION ID '{MONTH}'")
    store.insert_raw([batch([(1, MONTH_START_S + 7, 7)], tenant_id=1, batch_id=9)])  # it came since
    archive.bring_back(store, tmp_path, "raw_read")
    assert list(archive.iter_away(tmp_path)) == [manifest]
    archive.restore_month(store, tmp_path, manifest)
    assert list(archive.iter_away(tmp_path)) == []
    store.execute("ALTER TABLE raw_read DELETE WHERE batch_id = 9 SETTINGS mutations_sync = 2")
    assert everything(store)[0] == before[0]


def test_an_interrupted_removal_is_undone(store: HttpReadingStore, tmp_path: Path) -> None:
    before = everything(store)
    store.execute("CREATE TABLE raw_read_leaving AS raw_read")
    store.execute(f"ALTER TABLE raw_read MOVE PARTITION ID '{MONTH}' TO TABLE raw_read_leaving")
    assert everything(store) != before
    archive.bring_back(store, tmp_path, "raw_read")
    assert everything(store) == before
