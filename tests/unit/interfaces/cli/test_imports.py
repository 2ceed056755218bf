"""`wattkeeper import` and `wattkeeper mapping`: tried, whole or in part, by saved mappings."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relational import People
from shell_runner import refused, run
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection import job_queue
from wattkeeper.data.collection.models import ImportMapping, Job
from wattkeeper.data.registry.models import Meter, UsagePoint
from wattkeeper.interfaces.cli import jobs
from wattkeeper.interfaces.cli.main import app
from wattkeeper.store.api import RawBatch
from wattkeeper.store.memory import MemoryReadingStore
from wattkeeper.store.transport import StoreUnreachable

HEAD = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
GOOD = "P1,import,2026-11-01T00:00:00Z,3600,1.5,kWh,raw\nP1,import,2026-11-01T01:00:00Z,3600,2,kWh,raw\n"
WRONG = "P1,import,2026-11-01T02:00:00Z,3600,x,kWh,raw\n"
EXPORT = "Zählpunkt;Datum;Uhrzeit;Bezug (kWh)\n" + "".join(
    f"DE1;01.11.2026;{hour:02d}:00;{hour},5\n" for hour in range(4)
)


def test_a_dry_run_stores_nothing_and_says_all(
    ours: People, tmp_path: Path, store: MemoryReadingStore
) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEAD + GOOD + WRONG)
    result = CliRunner().invoke(app, ["import", str(file), "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 1
    assert "a.csv:4:5" in result.stderr
    assert result.stdout.strip().endswith("rows 2, meters 1, errors 1")
    assert "P1" in result.stdout
    assert "3.5" in result.stdout
    assert store.counts(ours.tenant.id).raw_reads == 0
    assert [model.objects.count() for model in (Meter, UsagePoint, Job)] == [0, 0, 0]


def test_a_dry_run_shows_the_encoding(ours: People, tmp_path: Path, store: MemoryReadingStore) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes((HEAD + GOOD.replace("P1", "电表1")).encode("gbk"))
    for named in ([], ["--encoding", "gb18030"]):
        result = CliRunner().invoke(app, ["import", str(file), "--dry-run", *named], catch_exceptions=False)
        assert (result.exit_code, result.stderr) == (0, "encoding: gb18030\n")
        assert "电表1" in result.stdout


def test_all_or_nothing(ours: People, tmp_path: Path, store: MemoryReadingStore) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEAD + GOOD + WRONG)
    with pytest.raises(WattkeeperError, match=r"imports\.not-whole"):
        CliRunner().invoke(app, ["import", str(file), "--all-or-nothing"], catch_exceptions=False)
    assert store.counts(ours.tenant.id).raw_reads == 0
    assert Meter.objects.count() == 0
    file.write_text(HEAD + GOOD)
    result = CliRunner().invoke(app, ["import", str(file), "--all-or-nothing"], catch_exceptions=False)
    assert result.stdout.strip().endswith("rows 2, meters 1, errors 0")


def test_a_block_that_can_not_go_in_holds_a_whole_file_back(
    ours: People, tmp_path: Path, store: MemoryReadingStore
) -> None:
    """What only the registry can refuse counts too: nothing that was made for it stays."""
    file = tmp_path / "a.csv"
    file.write_text(HEAD + GOOD + "P2,import,2026-11-01T00:00:00Z,7000,1,kWh,raw\n")
    with pytest.raises(WattkeeperError, match=r"imports\.not-whole"):
        CliRunner().invoke(app, ["import", str(file), "--all-or-nothing"], catch_exceptions=False)
    assert (Meter.objects.count(), UsagePoint.objects.count()) == (0, 0)
    result = CliRunner().invoke(app, ["import", str(file)], catch_exceptions=False)
    assert "Intervals of 7000 seconds are not kept at P2" in result.stderr
    assert result.stdout.strip().endswith("rows 2, meters 1, errors 1")


@pytest.mark.parametrize("failures_count", [1, job_queue.FAILURES_MAX_COUNT])
def test_a_store_that_went_away_is_tried_again_without_a_worker(
    ours: People,
    tmp_path: Path,
    store: MemoryReadingStore,
    monkeypatch: pytest.MonkeyPatch,
    failures_count: int,
) -> None:
    """Where no worker ran, the shell watched the job for ever."""
    monkeypatch.setattr(job_queue, "RETRY_WAIT_S", 0)
    monkeypatch.setattr(jobs, "LOOK_PERIOD_S", 0)
    insert_raw, left = store.insert_raw, iter(range(failures_count))

    def insert(batches: Sequence[RawBatch]) -> None:
        if next(left, None) is not None:
            raise StoreUnreachable("store.not-running", is_permanent=False, folder="x")
        insert_raw(batches)

    monkeypatch.setattr(store, "insert_raw", insert)
    file = tmp_path / "a.csv"
    file.write_text(HEAD + GOOD)
    result = CliRunner().invoke(app, ["import", str(file)], catch_exceptions=False)
    is_stored = failures_count == 1
    assert store.counts(ours.tenant.id).raw_reads == 2 * is_stored
    assert (result.exit_code, "store.not-running" in result.stderr) == (not is_stored, not is_stored)


def test_negative_values_are_left_out(ours: People, tmp_path: Path, store: MemoryReadingStore) -> None:
    file = tmp_path / "a.csv"
    file.write_text(HEAD + GOOD.replace("1.5", "-1.5"))
    result = CliRunner().invoke(app, ["import", str(file)], catch_exceptions=False)
    assert "of P1 were left out, the first of 2026-11-01T00:00:00+00:00" in result.stderr
    assert result.stdout.strip().endswith("rows 1, meters 1, errors 1")


def test_saved_mappings(ours: People, tmp_path: Path, store: MemoryReadingStore) -> None:
    table, mapping = tmp_path / "t.csv", tmp_path / "m.json"
    table.write_text(EXPORT)
    guess = CliRunner().invoke(
        app, ["mapping", "guess", str(table), "-o", str(mapping)], catch_exceptions=False
    )
    assert "? label, zone" in guess.stderr
    mapping.write_text(mapping.read_text().replace('"UTC"', '"Europe/Berlin"'))
    run("mapping", "save", "Stadtwerk", str(mapping))
    run("mapping", "save", "Stadtwerk", str(mapping))
    assert ImportMapping.objects.get().name == "Stadtwerk"
    assert "Stadtwerk" in run("mapping", "list")
    assert run("mapping", "show", "Stadtwerk").strip() == mapping.read_text().strip()
    result = CliRunner().invoke(app, ["import", str(table), "--mapping", "Stadtwerk"], catch_exceptions=False)
    assert result.stdout.strip().endswith("rows 4, meters 1, errors 0")
    assert UsagePoint.objects.get().code == "DE1"
    run("mapping", "remove", "Stadtwerk")
    assert refused("mapping", "show", "Stadtwerk") == "mapping.unknown"
    assert refused("mapping", "remove", "Stadtwerk") == "mapping.unknown"
    assert refused("import", str(table), "--mapping", "Stadtwerk") == "mapping.unknown"
    verbs = list(AuditRecord.objects.order_by("sequence").values_list("verb", flat=True))
    assert [verb for verb in verbs if "mapping" in verb] == ["imports.save-mapping"] * 2 + [
        "imports.remove-mapping"
    ]


def test_wrong_mappings(ours: People, tmp_path: Path) -> None:
    mapping = tmp_path / "m.json"
    mapping.write_text("{}")
    assert refused("mapping", "save", "x", str(mapping)) == "mapping.wrong"
    assert refused("mapping", "guess", str(tmp_path / "none")) == "shell.file-unreadable"
    mapping.write_text("nothing here")
    assert refused("mapping", "guess", str(mapping)) == "mapping.not-found"


def test_another_tenant_s_mapping_is_as_if_absent(ours: People, theirs: People, tmp_path: Path) -> None:
    mapping = tmp_path / "m.json"
    mapping.write_text('{"time": [1], "values": [{"column": 2, "channel": "import"}]}')
    run("mapping", "save", "one", str(mapping), "--tenant", "ours")
    assert refused("mapping", "show", "one", "--tenant", "theirs") == "mapping.unknown"
