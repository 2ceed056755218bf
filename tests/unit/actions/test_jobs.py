"""Jobs: done once whatever dies, refused to those who lost the right, retried when later may help."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from relational import LONG_AGO, NOW, People, Street, install_first
from wattkeeper.actions.billing.request_billing import period_text, request_billing
from wattkeeper.actions.collection.request_import import request_import
from wattkeeper.actions.job_work import JobOutcome
from wattkeeper.actions.jobs import heart, run_job
from wattkeeper.actions.jobs.end_job import end_job
from wattkeeper.actions.services import Services
from wattkeeper.actions.tariffs.add_tariff_version import add_tariff_version
from wattkeeper.actions.tariffs.set_contract import set_contract
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.accounts.models import Role, User
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Bill, TariffVersion
from wattkeeper.data.collection import job_queue
from wattkeeper.data.collection.job_errors import errors_of
from wattkeeper.data.collection.models import Job
from wattkeeper.data.collection.watch import Watch
from wattkeeper.data.registry.models import Series
from wattkeeper.interfaces.cli.demo.tariffs import RESIDENTIAL
from wattkeeper.store.api import Measurements
from wattkeeper.store.memory import MemoryReadingStore

FIRST, END = date(2026, 10, 1), date(2026, 11, 1)
CSV = "usage_point,channel,starts_at,interval_s,value,unit,quality\n"
LATER = timedelta(seconds=job_queue.LEASE_S + 1)
LOOKS_COUNT = 4  # within a lease


class Steady:
    """This process's steady clock, moved by the tests."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def __call__(self) -> float:
        return self.at_s


@pytest.fixture(autouse=True)
def steady(monkeypatch: pytest.MonkeyPatch) -> Steady:
    clock = Steady()
    monkeypatch.setattr(job_queue, "WATCH", Watch(clock))
    return clock


def look_on(steady: Steady) -> None:
    """Let a lease pass while this process looks on: one look more and what is silent is taken."""
    for _ in range(LOOKS_COUNT):
        job_queue._find_dead()
        steady.at_s += job_queue.LEASE_S / LOOKS_COUNT


class Killed(BaseException):
    """The process is gone: nothing after this runs."""


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(services: Services, clock: Clock) -> Services:
    return Services(clock, services.data_folder, services.store)


@pytest.fixture
def home(ours: People, street: Street, services: Services, store: MemoryReadingStore) -> int:
    """A usage point with a tariff and every interval of October."""
    install_first(ours, street, services)
    series = Series.objects.get(usage_point_id=street.point_id, quantity="energy_import")
    zone = ZoneInfo("Asia/Shanghai")
    span_s = (int(local_midnight(day, zone).timestamp()) for day in (FIRST, END))
    starts_at_s = np.arange(*span_s, series.interval_s, dtype=np.int64)
    zeros = np.zeros_like(starts_at_s)
    columns = (zeros + 100_000, zeros + int(Provenance.MEASURED), zeros, zeros, zeros + 1)
    store.insert_measurements(ours.tenant.id, Measurements(zeros + series.id, starts_at_s, *columns))
    version_id = add_tariff_version(actor=ours.administrator, now=NOW, name="", document=RESIDENTIAL)
    tariff_id = TariffVersion.objects.get(id=version_id).tariff_id
    set_contract(
        actor=ours.administrator, now=NOW, usage_point_id=street.point_id, tariff_id=tariff_id, at=LONG_AGO
    )
    return street.point_id


def ask(ours: People) -> int:
    return request_billing(actor=ours.operator, now=NOW, first=FIRST, end=END)


def send(ours: People, services: Services, rows: str = "") -> int:
    text = CSV + (rows or "P1,import,2026-11-02T00:00:00Z,3600,1,kWh,measured\n")
    content = [text.encode()]
    return request_import(actor=ours.operator, now=NOW, services=services, content=content, label="a.csv")


def die(done_count: int, total_count: int) -> None:
    raise Killed


def test_an_import_goes_from_queue_to_result_and_its_file_goes_with_it(
    ours: People, world: Services, store: MemoryReadingStore
) -> None:
    job_id = send(ours, world)
    assert Job.objects.get().state == "QUEUED"
    assert len(list((world.data_folder / "imports").iterdir())) == 1
    assert run_job.run_job(services=world)
    job = Job.objects.get(id=job_id)
    assert (job.state, job.result, job.done_count) == ("DONE", {"rows": 1, "meters": 1, "errors": 0}, 1)
    assert list((world.data_folder / "imports").iterdir()) == []
    assert AuditRecord.objects.filter(verb="imports.request", subject=f"job:{job_id}").exists()
    (ended,) = AuditRecord.objects.filter(verb="jobs.end", subject=f"job:{job_id}")
    assert (ended.detail["label"], ended.detail["has_failed"]) == ("a.csv", False)
    assert (ended.detail["result"], ended.detail["codes"]) == (job.result, [])
    assert not run_job.run_job(services=world)


def test_an_import_that_fails_is_in_the_audit_with_its_code(
    ours: People, world: Services, store: MemoryReadingStore
) -> None:
    job_id = send(ours, world)
    for path in (world.data_folder / "imports").iterdir():
        path.unlink()
    assert run_job.run_job(services=world)
    (ended,) = AuditRecord.objects.filter(verb="jobs.end", subject=f"job:{job_id}")
    assert (ended.detail["has_failed"], ended.detail["codes"]) == (True, ["imports.file-gone"])
    assert ended.detail["requested_by"] == ours.operator.name


def test_whoever_was_taken_over_ends_nothing_in_the_audit(ours: People, clock: Clock, steady: Steady) -> None:
    ask(ours)
    slow = job_queue.claim_job(now=clock())
    look_on(steady)
    assert job_queue.claim_job(now=clock()) is not None
    assert slow is not None
    with pytest.raises(WattkeeperError):
        end_job(slow, JobOutcome({}), now=clock())
    assert not AuditRecord.objects.filter(verb="jobs.end").exists()


def test_a_job_whose_worker_was_killed_is_done_by_the_next(
    ours: People, home: int, world: Services, clock: Clock, steady: Steady
) -> None:
    ask(ours)
    with pytest.raises(Killed):
        run_job.run_job(services=world, on_progress=die)  # its bill is out, its end is not written
    assert (Job.objects.get().state, Bill.objects.count()) == ("RUNNING", 1)
    assert not run_job.run_job(services=world)  # the lease still holds
    look_on(steady)
    assert run_job.run_job(services=world)
    job = Job.objects.get()
    assert (job.state, job.result["unchanged"], job.failures_count) == ("DONE", 1, 1)
    assert Bill.objects.count() == 1


def test_a_killed_import_stores_nothing_twice(
    ours: People, world: Services, clock: Clock, steady: Steady, store: MemoryReadingStore
) -> None:
    send(ours, world)

    def die_at_the_end(done_count: int, total_count: int) -> None:
        if done_count == total_count:
            raise Killed

    with pytest.raises(Killed):
        run_job.run_job(services=world, on_progress=die_at_the_end)
    assert store.counts(ours.tenant.id).raw_reads == 1
    look_on(steady)
    assert run_job.run_job(services=world)
    assert (Job.objects.get().state, store.counts(ours.tenant.id).raw_reads) == ("DONE", 1)


def test_who_was_taken_over_writes_nothing_more(ours: People, clock: Clock, steady: Steady) -> None:
    ask(ours)
    slow = job_queue.claim_job(now=clock())
    look_on(steady)
    quick = job_queue.claim_job(now=clock())
    assert slow is not None
    assert quick is not None
    assert quick.fence_id > slow.fence_id
    writes: list[Callable[[], None]] = [
        lambda: job_queue.beat(slow, now=clock(), done_count=99),
        lambda: job_queue.finish_job(slow, now=clock(), result={"issued": 99}),
        lambda: job_queue.put_back(slow, now=clock(), has_failed=True),
    ]
    for write in writes:
        with pytest.raises(WattkeeperError) as refusal:
            write()
        assert refusal.value.code == "jobs.taken-over"
    job_queue.finish_job(quick, now=clock(), result={"issued": 1})
    job = Job.objects.get()
    assert (job.state, job.result, job.done_count) == ("DONE", {"issued": 1}, 0)


def test_a_job_that_kills_its_workers_is_given_up(
    ours: People, home: int, world: Services, clock: Clock, steady: Steady
) -> None:
    ask(ours)
    for _ in range(job_queue.FAILURES_MAX_COUNT):
        with pytest.raises(Killed):
            run_job.run_job(services=world, on_progress=die)
        look_on(steady)
    assert not run_job.run_job(services=world)
    job = Job.objects.get()
    assert (job.state, errors_of(job)[0]["code"]) == ("FAILED", "jobs.worker-died")
    assert job.ended_at == clock.at


def test_what_later_may_help_is_tried_again_a_few_times(
    ours: People, world: Services, clock: Clock, store: MemoryReadingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object) -> None:
        raise WattkeeperError("store.unreachable", is_permanent=False)

    send(ours, world)
    with monkeypatch.context() as patch:
        patch.setattr(store, "insert_raw", burst)
        assert run_job.run_job(services=world)
        assert Job.objects.get().state == "QUEUED"
        assert not run_job.run_job(services=world)  # not at once
    clock.at += timedelta(seconds=job_queue.RETRY_WAIT_S)
    assert run_job.run_job(services=world)
    assert Job.objects.get().state == "DONE"
    send(ours, world)
    monkeypatch.setattr(store, "insert_raw", burst)
    for _ in range(job_queue.FAILURES_MAX_COUNT):
        assert run_job.run_job(services=world)
        clock.at += LATER
    job = Job.objects.order_by("-id")[0]
    assert (job.state, errors_of(job)[0]["code"]) == ("FAILED", "store.unreachable")
    assert list((world.data_folder / "imports").iterdir()) == []


def test_an_unexpected_exception_is_told_and_counted(
    ours: People, home: int, world: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object) -> None:
        raise ZeroDivisionError

    ask(ours)
    with pytest.raises(ZeroDivisionError):
        run_job.run_job(services=world, on_progress=burst)
    assert (Job.objects.get().state, Job.objects.get().failures_count) == ("QUEUED", 1)


def test_an_orderly_stop_costs_no_try(ours: People, home: int, world: Services) -> None:
    ask(ours)
    assert run_job.run_job(services=world, is_stopping=lambda: True)
    assert (Job.objects.get().state, Job.objects.get().failures_count) == ("QUEUED", 0)
    assert run_job.run_job(services=world)
    assert Job.objects.get().state == "DONE"


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"is_active": False}, "jobs.requester-inactive"), ({"role": Role.VIEWER}, "accounts.not-allowed")],
)
def test_who_lost_the_right_meanwhile_gets_nothing(
    ours: People, home: int, world: Services, fields: dict[str, object], code: str
) -> None:
    ask(ours)
    User.objects.filter(id=ours.operator.user_id).update(**fields)
    assert run_job.run_job(services=world)
    assert (Job.objects.get().state, errors_of(Job.objects.get())[0]["code"]) == ("FAILED", code)
    assert not Bill.objects.exists()


def test_a_request_that_is_refused_leaves_no_job_and_no_file(
    ours: People, theirs: People, street: Street, world: Services
) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        request_import(
            actor=theirs.operator, now=NOW, services=world, content=[b"x"], label="a", site_id=street.site_id
        )
    assert refusal.value.code == "registry.not-found"
    with pytest.raises(WattkeeperError):
        request_billing(actor=ours.operator, now=NOW, first=END, end=FIRST)
    with pytest.raises(WattkeeperError):
        request_billing(
            actor=theirs.operator, now=NOW, first=FIRST, end=END, usage_point_ids=[street.point_id]
        )
    with pytest.raises(WattkeeperError):
        request_import(actor=ours.viewer, now=NOW, services=world, content=[b"x"], label="a")
    assert not Job.objects.exists()
    assert list((world.data_folder / "imports").glob("*")) == []


def test_a_disk_that_is_full_is_told(ours: People, services: Services) -> None:
    file = services.data_folder / "a-file"
    file.write_text("")
    with pytest.raises(WattkeeperError) as refusal:
        request_import(
            actor=ours.operator,
            now=NOW,
            services=Services(services.now, file, services.store),
            content=[b"x"],
            label="a",
        )
    assert refusal.value.code == "imports.not-kept"


def test_the_heart_beats_during_one_long_step_and_stops_when_it_is_taken_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats = threading.Semaphore(0)
    is_taken = threading.Event()

    def note(job: object, *, now: datetime) -> None:
        beats.release()
        if is_taken.is_set():
            raise WattkeeperError("jobs.taken-over")

    monkeypatch.setattr(heart, "beat", note)
    job = job_queue.ClaimedJob(1, 1, "import", "", {}, None, 1, 0)
    beating = heart.Heart(job, lambda: NOW, beat_s=0.01)
    with beating:
        assert all(beats.acquire(timeout=60) for _ in range(3))
        is_taken.set()
        beating._thread.join(60)
        assert not beating._thread.is_alive()


def test_a_period_is_named_as_people_do() -> None:
    assert period_text(FIRST, END) == "2026-10"
    assert period_text(date(2026, 10, 5), date(2026, 11, 5)) == "2026-10-05 – 2026-11-04"


@pytest.mark.parametrize("jump", [timedelta(hours=1), -timedelta(hours=1), timedelta(days=4000)])
def test_a_clock_that_jumps_takes_no_job_from_who_lives(
    ours: People, clock: Clock, steady: Steady, jump: timedelta
) -> None:
    ask(ours)
    held = job_queue.claim_job(now=clock())
    assert held is not None
    clock.at += jump
    for _ in range(LOOKS_COUNT * 3):
        job_queue.beat(held, now=clock())
        assert job_queue.claim_job(now=clock()) is None
        steady.at_s += job_queue.LEASE_S / LOOKS_COUNT
    look_on(steady)  # now it is silent
    assert job_queue.claim_job(now=clock()) is not None


def test_who_watches_a_job_holds_up_nobody_who_writes(ours: People, clock: Clock) -> None:
    """A shell asks twice a second for hours: where nothing is to be claimed it only reads."""
    job_id = ask(ours)
    held = job_queue.claim_job(now=clock())
    assert held is not None
    for named in (job_id, None):
        with CaptureQueriesContext(connection) as asked:
            assert job_queue.claim_job(now=clock(), job_id=named) is None
        assert asked.captured_queries
        assert {query["sql"].split()[0] for query in asked.captured_queries} == {"SELECT"}


def test_a_retry_does_not_wait_for_a_clock_that_was_set_back(ours: People, clock: Clock) -> None:
    ask(ours)
    held = job_queue.claim_job(now=clock())
    assert held is not None
    job_queue.put_back(held, now=clock(), has_failed=True)
    assert job_queue.claim_job(now=clock()) is None
    clock.at -= timedelta(hours=1)
    assert job_queue.claim_job(now=clock()) is not None
