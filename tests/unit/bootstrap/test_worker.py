"""What fails for one organisation costs that organisation alone, and is told to it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from structlog.testing import capture_logs

from relational import NOW, People, Street
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.services import Services
from wattkeeper.bootstrap import worker_role
from wattkeeper.bootstrap.worker_findings import RULE
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.collection.jobs import LEASE_S, end_silent_fetches, report_fetch
from wattkeeper.data.collection.models import FieldRead, Job
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.registry.models import Channel, Tenant
from wattkeeper.pipeline.derive import PipelineReport
from wattkeeper.store.memory import MemoryReadingStore

BROKEN = RuntimeError("secret words")


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> worker_role.Worker:
    monkeypatch.setattr(worker_role, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(worker_role, "open_bulk_store", MemoryReadingStore)
    monkeypatch.setattr(worker_role, "JUDGE_FIRST_S", 0.0)
    monkeypatch.setattr(worker_role, "DERIVE_PERIOD_S", 0.0)
    return worker_role.Worker(MemoryReadingStore(), lambda: NOW.replace(microsecond=1), "")


def told() -> list[tuple[int, str, str]]:
    rows = Finding.objects.filter(rule=RULE, state="OPEN").order_by("tenant_id", "subject_key")
    assert "secret" not in str(list(rows.values_list("evidence", flat=True)))
    return [(row.tenant_id, row.subject_key, row.evidence["code"]) for row in rows]


@pytest.mark.parametrize(
    ("what", "name"), [("gaps", "look_again"), ("periods", "judge_periods"), ("pipeline", "pipeline_ports")]
)
def test_one_organisation_that_fails_stops_no_other(
    ours: People,
    theirs: People,
    worker: worker_role.Worker,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    name: str,
) -> None:
    assert ours.tenant.id < theirs.tenant.id
    served: list[int] = []

    def serve(*args: Any, **names: Any) -> Any:
        tenant_id = names.get("tenant_id", args[1] if len(args) > 1 else None)
        if tenant_id == ours.tenant.id and is_broken:
            raise BROKEN
        served.append(tenant_id)
        return 0

    is_broken = True
    monkeypatch.setattr(worker_role, "run_once", lambda *_args, **_names: PipelineReport())
    monkeypatch.setattr(worker_role, name, serve)
    monkeypatch.setattr(worker_role, "JUDGE_PERIOD_S", 0.0)
    monkeypatch.setattr(worker_role, "LOOK_AGAIN", worker_role.LOOK_AGAIN * 0)
    for _ in range(2):
        worker.work()
        assert set(served) == {theirs.tenant.id}
        assert told() == [(ours.tenant.id, f"worker:{what}", "RuntimeError")]
    is_broken = False
    worker.work()
    assert set(served) == {ours.tenant.id, theirs.tenant.id}
    assert told() == []


def test_a_fetch_of_memories_is_waited_for_as_long_as_it_comes_farther(
    ours: People, worker: worker_role.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    still, derived = worker_role.FETCH_STILL_S, []
    began_s = now_s = worker_role.time.monotonic()
    monkeypatch.setattr(worker_role, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(worker_role, "run_once", lambda *_, **__: derived.append(now_s) or PipelineReport())
    job_id = None
    for done_count in (1, 2, 3):
        job_id = report_fetch(job_id, "l", done_count=done_count, total_count=9, now=NOW)
        worker.work()
        now_s += still
        worker.work()
    assert not derived
    now_s += 1.0  # its head-end was killed, say: nobody ends the job
    worker.work()
    assert derived
    derived.clear()
    report_fetch(job_id, "l", done_count=4, total_count=9, now=NOW)
    worker.work()
    assert not derived
    now_s = began_s + worker_role.FETCH_WAIT_MAX_S + 1
    worker.work()
    assert derived


def test_a_fetch_that_nobody_beats_for_is_ended(
    ours: People, worker: worker_role.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch: Watch[int] = Watch(lambda: now_s)
    monkeypatch.setattr(worker_role, "end_silent_fetches", partial(end_silent_fetches, watch=watch))
    report_fetch(None, "l", done_count=1, total_count=9, now=NOW)
    for now_s in range(0, LEASE_S + 1, 10):  # noqa: B007 - the watch looks at it
        worker.work()
    assert Job.objects.get().state == Job.State.FAILED


def test_a_command_that_fails_holds_up_none_behind_it(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from wattkeeper.actions.commands import let_go

    def go(command_id: int, **_names: object) -> bool:
        if command_id == 2:
            raise BROKEN
        gone.append(command_id)
        return True

    gone: list[int] = []
    monkeypatch.setattr(let_go.Command, "objects", Waiting())
    monkeypatch.setattr(let_go, "_let_go", go)
    with pytest.raises(RuntimeError):
        let_go.let_approved_go(now=NOW)
    assert gone == [1, 3]


@pytest.mark.parametrize(("is_permanent", "count"), [(True, 1), (False, 0)])
def test_a_field_read_that_is_refused_holds_up_no_other_organisation(
    ours: People,
    theirs: People,
    make_street: Callable[[People], Street],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_permanent: bool,
    count: int,
) -> None:
    """A store that is away is asked once; one that refuses is asked for the others too."""
    store, asked = MemoryReadingStore(), []
    for people in (ours, theirs):
        meter_id = make_street(people).meter_id
        channel = Channel.objects.filter(meter_id=meter_id, reading_type__endswith="register_kwh").earliest(
            "id"
        )
        FieldRead.objects.create(
            tenant=people.tenant, channel=channel, measured_at=NOW, value_count=1, recorded_at=NOW
        )

    def insert(batches: Any) -> None:
        asked.append(batches[0].tenant_id)
        if batches[0].tenant_id == ours.tenant.id:
            raise WattkeeperError("store.out-of-range", is_permanent=is_permanent)

    monkeypatch.setattr(store, "insert_raw", insert)
    assert deliver_field_reads(services=Services(lambda: NOW, tmp_path, store), now=NOW) == count
    assert asked == [ours.tenant.id, theirs.tenant.id][: 1 + count]
    assert FieldRead.objects.filter(delivered_at=None).count() == 2 - count


@pytest.mark.parametrize(
    ("code", "event", "level"),
    [
        ("leases.lost", "worker.lease-lost", "warning"),
        ("pipeline.lease-lost", "worker.lease-lost", "warning"),
        ("store.unreachable", "worker.failed", "error"),
    ],
)
def test_a_lease_that_another_took_is_no_failure(
    ours: People, worker: worker_role.Worker, code: str, event: str, level: str
) -> None:
    def lose() -> int:
        raise WattkeeperError(code, is_permanent=False, fence_id=7)

    with capture_logs() as logs:
        assert worker._try("pipeline", lose) == 0
    (line,) = logs
    assert (line["event"], line["log_level"], line["code"], line["fence_id"]) == (event, level, code, 7)


class Waiting:
    """Three commands that were approved."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_names: self

    def __getitem__(self, _part: slice) -> list[int]:
        return [1, 2, 3]


def test_what_fails_for_all_is_told_to_all_and_once(
    ours: People, theirs: People, worker: worker_role.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[Exception] = [WattkeeperError("audit.key-missing"), BROKEN]

    def fail(**_names: object) -> int:
        raise errors[0]

    monkeypatch.setattr(worker_role, "let_approved_go", fail)
    for _ in range(3):
        worker.let_go()
        errors.reverse()
    tenants = Tenant.objects.order_by("id").values_list("id", flat=True)
    assert told() == [(tenant_id, "worker:commands", "audit.key-missing") for tenant_id in tenants]
    monkeypatch.setattr(worker_role, "let_approved_go", lambda **_names: 0)
    worker.let_go()
    assert told() == []


@pytest.mark.parametrize(
    "error",
    [WattkeeperError("store.not-running", is_permanent=False), OperationalError("database is locked")],
)
def test_what_passes_by_itself_is_told_to_nobody(
    ours: People, worker: worker_role.Worker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_names: object) -> int:
        raise error

    monkeypatch.setattr(worker_role, "let_approved_go", fail)
    assert worker.let_go() == 0
    assert told() == []


def test_a_worker_without_words_for_people_works_on(
    ours: People, worker: worker_role.Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away while the worker says what failed: it says it when it can."""
    from wattkeeper.bootstrap import worker_findings

    def fail(**_names: object) -> int:
        raise BROKEN

    def away(*_args: object, **_names: object) -> None:
        raise OperationalError

    monkeypatch.setattr(worker_role, "let_approved_go", fail)
    with monkeypatch.context() as patch:
        patch.setattr(worker_findings, "keep_findings", away)
        assert worker.let_go() == 0
    assert told() == []
    worker.let_go()
    assert len(told()) == Tenant.objects.count()
