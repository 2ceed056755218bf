"""What is older than anybody wants goes, month by month, nothing else; killed anywhere, it ends the same."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from conformance.stores import running_store
from conformance.test_archive import determinants
from relational import People, make_people
from wattkeeper.actions.operations import keep_retention as verb
from wattkeeper.actions.operations.archive_months import LATE_RULE, archive_months, restore_months
from wattkeeper.actions.operations.archive_records import DESTROYED, REMOVED, known_months
from wattkeeper.actions.operations.keep_retention import Due, keep_retention, list_due
from wattkeeper.actions.operations.set_retention import set_retention
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap import worker_role
from wattkeeper.bootstrap.duty import Duty
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import Period, from_seconds
from wattkeeper.data.alarms.models import Finding, FindingPast
from wattkeeper.data.alarms.past import findings_as_of
from wattkeeper.data.alarms.queries import FindingDraft, keep_findings
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.interfaces.reads.archived import months_away
from wattkeeper.store import archive, archive_queries
from wattkeeper.store.api import RawFrame
from wattkeeper.store.archive_lock import archive_lock
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.conformance_data import ALWAYS, MONTH_START_S, batch, measured
from wattkeeper.store.schema import TABLES

pytestmark = pytest.mark.django_db
MARCH, APRIL = 202603, 202604  # what the store holds
MAY = datetime(2026, 5, 20, tzinfo=UTC)
JUNE, LATER = datetime(2026, 6, 20, tzinfo=UTC), datetime(2027, 6, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReadingStore]:
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture
def world(running: HttpReadingStore, tmp_path: Path, ours: People) -> Services:
    """March and the first days of April of one organisation, in every table."""
    fill(running, ours.tenant.id)
    return Services(now=lambda: JUNE, data_folder=tmp_path, store=running)


@pytest.fixture
def ours(db: None) -> People:
    return make_people("ours")


def fill(store: HttpReadingStore, tenant_id: int) -> None:
    for table in TABLES:
        store.execute(f"TRUNCATE TABLE {table}")
        store.execute(f"DROP TABLE IF EXISTS {table}_leaving SYNC")
        store.execute(f"DROP TABLE IF EXISTS {table}_returning SYNC")
    frames = [RawFrame(1, 2, MONTH_START_S + month * 32 * 86_400, b"frame") for month in range(2)]
    rows = [(channel_id, MONTH_START_S + 7200 * i, i) for channel_id in (1, 2) for i in range(400)]
    store.insert_raw([batch(rows, tenant_id=tenant_id, batch_id=1, frames=tuple(frames))])
    store.insert_measurements(tenant_id, measured([(1, MONTH_START_S + 7200 * i, i, 1) for i in range(400)]))
    store.insert_rate_days(tenant_id, 1, determinants(33, energy_milliwh=1000))


def rule(people: People, kind: str, store_months: int | None, file_months: int | None = None) -> None:
    set_retention(
        actor=people.administrator,
        now=MAY,
        kind=kind,
        store_months_count=store_months,
        file_months_count=file_months,
    )


def go(services: Services, now: datetime) -> int:
    """Let the duty do all it finds, as the worker does."""
    count = 0
    while keep_retention(services=services, now=now):
        count += 1
        assert count < 50
    return count


def due(services: Services, now: datetime) -> list[tuple[str, str, int, str]]:
    return [
        (row.step, row.table, row.month, row.held_by.removeprefix("operations."))
        for row in list_due(services=services, now=now)
    ]


def months(services: Services) -> dict[str, list[int]]:
    assert isinstance(services.store, HttpReadingStore)
    return {table: archive.months_of(services.store, table) for table in archive.MONTHLY}


def state(services: Services) -> object:
    """All that can be told of the store, the archive and the audit."""
    assert isinstance(services.store, HttpReadingStore)
    folder = services.data_folder / "archive"
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "rows.parquet.new"
    }
    records = AuditRecord.objects.filter(verb="operations.done").order_by("subject", "id")
    said = sorted((row.subject, sorted(row.detail.items())) for row in records)
    rows = {table: archive.count_months(services.store, table) for table in archive.MONTHLY}
    left = services.store.select("SELECT name FROM system.tables WHERE name LIKE '%ing' FORMAT ArrowStream")
    return files, said, rows, left.num_rows


def test_nothing_leaves_unless_somebody_said_so(world: Services, ours: People) -> None:
    before = months(world)
    assert go(world, LATER) == 0
    assert due(world, LATER) == []
    rule(ours, "READS", 1)
    rule(ours, "READS", None)
    assert go(world, LATER) == 0
    assert months(world) == before
    assert not (world.data_folder / "archive").exists()


def test_kinds_leave_apart_and_open_months_stay(world: Services, ours: People) -> None:
    rule(ours, "FRAMES", 1)
    assert due(world, MAY) == [("archive", "raw_frame", MARCH, "")]
    before = state(world)
    list_due(services=world, now=MAY)
    assert state(world) == before, "looking changes nothing"
    assert go(world, MAY) == 1
    assert {table for table, held in months(world).items() if held != [MARCH, APRIL]} == {"raw_frame"}
    assert months(world)["raw_frame"] == [APRIL]
    rule(ours, "READS", 2)
    rule(ours, "VALUES", 13)
    assert go(world, MAY) == 0, "two months beside the running one are March and April"
    assert go(world, JUNE) == 3, "March of receipts and reads, April of frames"
    assert months(world)["raw_read"] == [APRIL]
    assert months(world)["measurement"] == [MARCH, APRIL]
    assert go(world, datetime(2027, 5, 1, tzinfo=UTC)) == 4, "April of reads, March of values"
    assert months(world)["measurement"] == [APRIL]
    assert archive.list_destroyed(world.data_folder / "archive") == [], "files stay for good"


def test_files_are_destroyed_when_due_and_it_is_written_down(world: Services, ours: People) -> None:
    rule(ours, "READS", 1, 3)
    assert go(world, JUNE) == 4
    folder = world.data_folder / "archive"
    held = {(found.table, found.month): found for found in archive.list_manifests(folder)}
    july = datetime(2026, 7, 1, tzinfo=UTC)
    assert due(world, july) == [
        ("destroy", "raw_receipt", MARCH, ""),
        ("destroy", "raw_read", MARCH, ""),
    ]
    assert go(world, july) == 2
    assert not list(folder.glob(f"*/{MARCH}/rows.parquet"))
    assert archive.list_destroyed(folder) == [held["raw_read", MARCH], held["raw_receipt", MARCH]]
    assert archive.away_months(folder) == {MARCH, APRIL}, "what comes late for them is still late"
    records = AuditRecord.objects.filter(tenant_id=ours.tenant.id, subject="installation:archive-destroyed")
    assert [(row.actor, row.detail) for row in records.order_by("sequence")] == [
        (
            "system:retention",
            {"table": table, "month": MARCH, "rows": found.rows_count, "sha256": found.file_sha256},
        )
        for table in ("raw_receipt", "raw_read")
        for found in (held[table, MARCH],)
    ]
    with pytest.raises(WattkeeperError) as caught:
        list(restore(world, ours, july))
    assert caught.value.code == "operations.months-destroyed"
    assert go(world, july) == 0


def test_how_findings_stood_goes_with_the_values_of_its_time(world: Services, ours: People) -> None:
    """As of any moment of a month whose values are left, in the store or a file, all is told as it was."""
    begun = datetime(2026, 2, 3, tzinfo=UTC)
    for day in range(100):
        draft = FindingDraft(ours.tenant.id, "vee.gap", "series:1", begun, begun + timedelta(days=day + 1))
        keep_findings([draft], now=begun + timedelta(days=day))

    def told(at: datetime) -> list[datetime]:
        found = findings_as_of(ours.tenant.id, at)
        return list(found.values_list("then_ends_at", flat=True))

    then = {begun + timedelta(days=day): [begun + timedelta(days=day + 1)] for day in range(100)}
    rule(ours, "VALUES", 13, 15)
    go(world, LATER)
    assert months(world)["measurement"] == []
    assert {at: told(at) for at in then} == then, "in a file it can come back from"
    assert isinstance(world.store, HttpReadingStore)
    verb._forget_past(world.store, archive.list_manifests(world.data_folder / "archive"), APRIL)
    march = datetime(2026, 3, 1, tzinfo=UTC)
    assert {at: told(at) for at in then if at >= march} == {at: then[at] for at in then if at >= march}
    go(world, datetime(2027, 7, 20, tzinfo=UTC))
    april = datetime(2026, 4, 1, tzinfo=UTC)
    assert {at: told(at) for at in then if at >= april} == {at: then[at] for at in then if at >= april}
    assert FindingPast.objects.order_by("until_at").first().until_at > april
    go(world, datetime(2027, 8, 20, tzinfo=UTC))
    assert not FindingPast.objects.filter(until_at__lte=datetime(2026, 5, 1, tzinfo=UTC)).exists()
    assert FindingPast.objects.exists()


def restore(services: Services, people: People, now: datetime) -> Iterator[archive.Manifest]:
    return restore_months(
        actor=people.administrator, now=now, services=services, from_month=MARCH, to_month=MARCH
    )


def test_a_damaged_file_is_not_destroyed_and_stands_in_nobody_s_way(world: Services, ours: People) -> None:
    rule(ours, "READS", 1, 3)
    go(world, MAY)
    path = world.data_folder / "archive" / "raw_receipt" / str(MARCH) / "rows.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert go(world, JUNE) == 2, "April leaves meanwhile"
    july = datetime(2026, 7, 1, tzinfo=UTC)
    assert keep_retention(services=world, now=july) == 1, "and the reads of March"
    with pytest.raises(WattkeeperError) as caught:
        keep_retention(services=world, now=july)
    assert caught.value.code == "store.archive-damaged"
    assert path.exists()
    assert {table for table, _, _ in known_months(DESTROYED)} == {"raw_read"}


def test_what_came_late_is_written_with_its_month_not_over_it(world: Services, ours: People) -> None:
    assert isinstance(world.store, HttpReadingStore)
    rule(ours, "READS", 1)
    go(world, MAY)
    before = {
        found.table: found.rows_count for found in archive.list_manifests(world.data_folder / "archive")
    }
    world.store.insert_raw([batch([(1, MONTH_START_S + 5, 7)], tenant_id=ours.tenant.id, batch_id=9)])
    assert go(world, MAY) == 0, "it waits in the store for its month"
    assert months(world)["raw_read"] == [MARCH, APRIL]
    gone = list(archive_months(actor=ours.administrator, now=MAY, services=world, before_month=APRIL))
    assert months_away(world.data_folder, "raw_read", ALWAYS) == ["2026-03"]
    assert {found.table: found.rows_count for found in gone} == {
        **before, "raw_read": before["raw_read"] + 1, "raw_receipt": before["raw_receipt"] + 1
    } | {found.table: found.rows_count for found in gone if found.table not in before}  # fmt: skip
    assert len(list(restore(world, ours, MAY))) == 5
    assert months_away(world.data_folder, "raw_read", ALWAYS) == []
    reads = world.store.raw_reads(ours.tenant.id, [1], *ALWAYS)
    assert len(reads.value) == 401


def test_what_came_late_goes_when_its_file_goes(world: Services, ours: People) -> None:
    assert isinstance(world.store, HttpReadingStore)
    rule(ours, "READS", 1, 3)
    go(world, MAY)
    july = datetime(2026, 7, 1, tzinfo=UTC)
    for batch_id in (9, 10):  # the second comes when the month is destroyed
        late = [(1, MONTH_START_S + batch_id, 7)]
        world.store.insert_raw([batch(late, tenant_id=ours.tenant.id, batch_id=batch_id)])
        go(world, july)
        assert MARCH not in months(world)["raw_read"]
    destroyed = archive.list_destroyed(world.data_folder / "archive")
    assert sorted(found.rows_count for found in destroyed if found.table == "raw_read") == [1, 745]


def test_a_month_that_is_still_needed_is_held(world: Services, ours: People) -> None:
    rule(ours, "READS", 1, 3)
    span = Period(from_seconds(MONTH_START_S + 40 * 86_400), from_seconds(MONTH_START_S + 41 * 86_400))
    mark_dirty(tenant_id=ours.tenant.id, now=MAY, reason="test", series={1: span})
    assert due(world, JUNE) == [
        ("archive", "raw_receipt", MARCH, ""),
        ("archive", "raw_read", MARCH, ""),
        ("archive", "raw_receipt", APRIL, "held-deriving"),
        ("archive", "raw_read", APRIL, "held-deriving"),
    ]
    assert go(world, JUNE) == 2
    assert months(world)["raw_read"] == months(world)["raw_receipt"] == [APRIL]
    keep_findings(
        [FindingDraft(ours.tenant.id, LATE_RULE, "series:1", from_seconds(MONTH_START_S + 9 * 86_400))],
        now=JUNE,
    )
    assert [row[3] for row in due(world, LATER) if row[0] == "destroy"] == ["held-late", "held-late"]
    assert go(world, LATER) == 0
    Finding.objects.update(state=Finding.State.CLOSED)
    assert go(world, LATER) == 2


def test_a_rule_destroys_nothing_before_somebody_could_think_again(world: Services, ours: People) -> None:
    rule(ours, "READS", 1, 2)
    rule(ours, "FRAMES", 1)
    set_retention(
        actor=ours.administrator, now=LATER, kind="READS", store_months_count=1, file_months_count=3
    )
    assert go(world, LATER + timedelta(days=6)) == 6, "into files all go at once"
    assert {row[3] for row in due(world, LATER + timedelta(days=6))} == {"held-set-lately"}
    assert go(world, LATER + timedelta(days=8)) == 4


def test_what_somebody_put_back_is_left_to_them(world: Services, ours: People) -> None:
    rule(ours, "READS", 1)
    go(world, MAY)
    assert len(list(restore(world, ours, MAY))) == 2
    soon = MAY + timedelta(days=29)
    assert {row[3] for row in due(world, soon) if row[2] == MARCH} == {"held-restored"}
    assert {row[3] for row in due(world, MAY + timedelta(days=31)) if row[2] == MARCH} == {""}


def test_a_month_goes_when_every_organisation_lets_it(world: Services, ours: People) -> None:
    theirs = make_people("theirs")
    rule(ours, "READS", 1, 3)
    assert due(world, LATER) == []
    rule(theirs, "READS", 6)
    assert due(world, datetime(2026, 9, 30, tzinfo=UTC)) == []
    october = datetime(2026, 10, 1, tzinfo=UTC)
    assert {row[2] for row in due(world, october)} == {MARCH}
    assert go(world, LATER) == 4
    assert due(world, LATER) == [], "theirs keep their files for good"
    said = AuditRecord.objects.filter(subject="installation:archive-removed")
    assert {row.tenant_id for row in said} == {ours.tenant.id, theirs.tenant.id}


@pytest.mark.parametrize("table", archive.MONTHLY)
def test_which_months_there_are_is_told_without_reading_a_row(world: Services, table: str) -> None:
    """The worker asks each hour, over billions of rows: the engine's own count says what that costs."""
    assert isinstance(world.store, HttpReadingStore)
    store, question = world.store, archive_queries.months(table)
    parts = "SELECT count() AS n FROM system.parts WHERE active AND database = currentDatabase() AND table = "
    parts_count = int(answer(store, f"{parts}'{table}'")["data"][0]["n"])
    assert answer(store, question)["statistics"]["rows_read"] <= 2 * parts_count
    rows_count = sum(archive.count_months(store, table).values())
    scanning = question.replace(f"FROM {table}", f"FROM {table} WHERE tenant_id > 0")
    assert answer(store, scanning)["statistics"]["rows_read"] == rows_count, "a question that scans is seen"


def answer(store: HttpReadingStore, question: str) -> Any:
    return json.loads(store._ask(question.partition(" SETTINGS ")[0] + " FORMAT JSON"))


def test_whoever_reads_the_archive_is_not_disturbed(world: Services, ours: People) -> None:
    rule(ours, "READS", 1)
    with archive_lock(world.data_folder / "archive", is_shared=True):
        for act in (
            lambda: go(world, MAY),
            lambda: list(
                archive_months(actor=ours.administrator, now=MAY, services=world, before_month=APRIL)
            ),
        ):
            with pytest.raises(WattkeeperError) as caught:
                act()
            assert caught.value.code == "store.archive-busy"
    assert go(world, MAY) == 2


def test_the_worker_lets_months_go_at_leisure_under_its_lease(
    world: Services, ours: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.store is not None
    monkeypatch.setattr(worker_role, "data_folder", lambda: world.data_folder)
    monkeypatch.setattr(worker_role, "open_bulk_store", lambda: world.store)
    monkeypatch.setattr(worker_role, "JUDGE_FIRST_S", 0.0)
    rule(ours, "READS", 1)
    idle = worker_role.Worker(world.store, lambda: MAY, "", Duty("scheduler"))
    assert idle.retain() == 0, "the duty is somebody else's"
    worker = worker_role.Worker(world.store, lambda: MAY, "")
    worker.is_behind = True
    assert worker.retain() == 0, "readings wait"
    worker.is_behind = False
    assert [worker.retain() for _ in range(4)] == [1, 1, 0, 0]
    assert months(world)["raw_read"] == [APRIL]
    rule(ours, "FRAMES", 1)
    assert worker.retain() == 0, "it looks again in an hour"


class Killed(BaseException):
    """The process ends here."""


class Knife:
    """Ends the process before or after the step of a number."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int | None, *, is_after: bool) -> None:
        self.count = 0
        self._at = at
        self._is_after = is_after
        steps: list[tuple[Any, str]] = [
            (HttpReadingStore, "execute"),
            (HttpReadingStore, "insert_table"),
            (Path, "replace"),
            (Path, "unlink"),
            (verb, "record_for_all"),
        ]
        for owner, name in steps:
            patch.setattr(owner, name, self._over(getattr(owner, name)))

    def _over(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            is_here = self.count == self._at
            if is_here and not self._is_after:
                raise Killed
            result = step(*args, **kwargs)
            if is_here:
                raise Killed
            return result

        return taken


def fresh(services: Services, people: People) -> None:
    """Frames of a month that is due for its file and for destroying."""
    rule(people, "FRAMES", 1, 2)


def late(services: Services, people: People) -> None:
    """Receipts of a month that is archived, one that came late, and destroying."""
    rule(people, "READS", 1, 2)
    go(services, MAY)
    assert isinstance(services.store, HttpReadingStore)
    services.store.insert_raw([batch([(1, MONTH_START_S + 9, 7)], tenant_id=people.tenant.id, batch_id=9)])


@pytest.mark.parametrize(
    ("prepare", "each"),
    [
        pytest.param(fresh, 5, id="some steps", marks=pytest.mark.slow),
        pytest.param(fresh, 1, id="every step", marks=pytest.mark.soak),
        pytest.param(late, 1, id="every step with what came late", marks=pytest.mark.soak),
    ],
)
def test_killed_at_any_step_it_ends_the_same(
    world: Services,
    ours: People,
    tmp_path: Path,
    prepare: Callable[[Services, People], None],
    each: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(verb.TABLES_OF, "READS", ("raw_receipt",))
    monkeypatch.setitem(verb.TABLES_OF, "FRAMES", ("raw_frame",))
    assert isinstance(world.store, HttpReadingStore)

    def once(at: int | None, *, is_after: bool) -> tuple[int, object]:
        services = replace(world, data_folder=tmp_path / f"{at}-{is_after}")
        assert isinstance(services.store, HttpReadingStore)
        with transaction.atomic(), monkeypatch.context() as patch:
            fill(services.store, ours.tenant.id)
            prepare(services, ours)
            knife = Knife(patch, at, is_after=is_after)
            try:
                go(services, JUNE)
            except Killed:
                patch.undo()
                go(services, JUNE)
            patch.undo()
            ended = state(services)
            transaction.set_rollback(True)
        return knife.count, ended

    steps_count, whole = once(None, is_after=False)
    assert steps_count > 12
    for at in range(1, steps_count + 1, each):
        for is_after in (False, True):
            assert once(at, is_after=is_after)[1] == whole, (at, is_after)


@pytest.mark.slow
def test_a_month_comes_back_once_however_its_removal_ended(
    world: Services, ours: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set aside it is in the engine, and its file has it too: it must not come back from both."""
    monkeypatch.setattr(archive, "MONTHLY", ("measurement",))
    store, actor = world.store, ours.administrator
    assert isinstance(store, HttpReadingStore)
    whole = archive.count_months(store, "measurement")

    def leave(services: Services) -> None:
        list(archive_months(actor=actor, now=JUNE, services=services, before_month=APRIL))

    def once(at: int | None) -> int:
        services = replace(world, data_folder=tmp_path / str(at))
        fill(store, ours.tenant.id)
        with monkeypatch.context() as patch, suppress(Killed):
            knife = Knife(patch, at, is_after=True)
            leave(services)
        for _ in range(2):
            list(restore_months(actor=actor, now=JUNE, services=services, from_month=MARCH, to_month=MARCH))
            assert archive.count_months(store, "measurement") == whole, at
            leave(services)
        return knife.count

    steps_count = once(None)
    assert steps_count > 5
    for at in range(1, steps_count + 1):
        once(at)


def test_a_removal_that_was_not_written_down_is_written_down_once(world: Services, ours: People) -> None:
    rule(ours, "FRAMES", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb, "record_for_all", _killed)
        with pytest.raises(Killed):
            go(world, MAY)
    assert known_months(REMOVED) == set()
    for _ in range(2):
        go(world, MAY)
        assert [
            row.tenant_id for row in AuditRecord.objects.filter(subject="installation:archive-removed")
        ] == [ours.tenant.id]


def _killed(*_: object) -> None:
    raise Killed


def test_the_plan_says_how_much_would_go(world: Services, ours: People) -> None:
    rule(ours, "READS", 1)
    assert list_due(services=world, now=MAY) == [
        Due(MARCH, "archive", "READS", "raw_receipt", 1),
        Due(MARCH, "archive", "READS", "raw_read", 744),
    ]
