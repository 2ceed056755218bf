"""The worker child, wired. Import it after `setup_django()`."""

import signal
import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial

import structlog
from django.db import close_old_connections

from wattkeeper.actions.billing.propose_rebills import propose_rebills
from wattkeeper.actions.commands.let_go import let_approved_go
from wattkeeper.actions.operations.audit_heads import Sealer, seals_here
from wattkeeper.actions.operations.backup_log import watch_backups
from wattkeeper.actions.operations.keep_retention import keep_retention
from wattkeeper.actions.refusals import is_passing
from wattkeeper.actions.registry.deliver_field_reads import deliver_field_reads
from wattkeeper.actions.services import Services
from wattkeeper.actions.virtual.judge_accuracy import judge_accuracy
from wattkeeper.bootstrap.duty import Duty, Lane
from wattkeeper.bootstrap.engines import data_folder, make_clock, open_bulk_store, open_store
from wattkeeper.bootstrap.failed_series import keep_failed
from wattkeeper.bootstrap.instant_rules import LOOK_BACK_DAYS, judge_instants
from wattkeeper.bootstrap.job_runner import STOPS_WITHIN_S, JobRunner
from wattkeeper.bootstrap.look_again import look_again
from wattkeeper.bootstrap.period_rules import judge_periods
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.bootstrap.plants import read_plant
from wattkeeper.bootstrap.ready import keep_what_is_loaded
from wattkeeper.bootstrap.worker_findings import WorkerFindings
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.core.vee.rule_set import RuleSet
from wattkeeper.data.collection.jobs import FETCH, end_silent_fetches
from wattkeeper.data.collection.models import Job
from wattkeeper.data.registry.models import Tenant
from wattkeeper.pipeline.derive import CLAIM_COUNT, run_once
from wattkeeper.pipeline.plants import ignore_rollover
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.api import ReadingStore

WORK_PERIOD_S = 0.2
DERIVE_PERIOD_S = 5.0  # windows that grow meanwhile are derived once
DELIVER_PERIOD_S = 30.0
SEAL_PERIOD_S = 1.0  # what is younger can be cut off unseen
WATCH_PERIOD_S = 600.0
JUDGE_FIRST_S = 120.0  # after the start, when what waited is derived
JUDGE_PERIOD_S = 3600.0
RETAIN_LOOK_S = 5.0
RETAIN_PERIOD_S = 3600.0
LATELY_DAYS = 2  # instants are judged again each hour; once a day those of the days before too
FETCH_WAIT_MAX_S = 600.0
FETCH_STILL_S = 30.0  # a fetch that came no farther for so long has lost its head-end or its links
LOOK_AGAIN = timedelta(hours=6)  # a silent meter sends nothing that would mark its gap
LOOK_BACK = timedelta(hours=48)
LEASES_LOST = {"leases.lost", "pipeline.lease-lost"}  # another worker does it: no failure
_BY_TENANT = {"gaps", "periods"}  # each organisation is told of its own
log = structlog.get_logger()


def run_worker_role() -> None:
    """Derive what changed and let approved commands go, until told to stop."""
    plant = read_plant()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    clock = make_clock(follower="worker")
    store = open_store()
    duty = Duty()
    worker = Worker(store, clock.now, plant, duty)
    duty.start()
    Lane("commands", worker.let_go, stop, every_s=WORK_PERIOD_S).start()
    Lane("retention", worker.retain, stop, every_s=RETAIN_LOOK_S).start()
    sealing = Duty("audit-seal")
    if seals_here(data_folder()):
        sealing.start()
        Lane("audit", partial(worker.seal, sealing), stop, every_s=SEAL_PERIOD_S).start()
    jobs = JobRunner(Services(clock.now, data_folder(), store), stop, lambda: worker.is_behind)
    jobs.start()
    keep_what_is_loaded()
    while not stop.is_set():
        has_worked = worker.work()
        close_old_connections()
        if not has_worked:
            stop.wait(WORK_PERIOD_S)
    jobs.join(STOPS_WITHIN_S)
    for held in (duty, sealing):
        held.stop()


class Worker:
    """One pass after another over what waits; an error holds up nothing else.

    What is the scheduler's is done by whoever has the `duty`, by everybody where there is none; any worker
    derives what it claims.
    """

    def __init__(
        self, store: ReadingStore, now: Callable[[], datetime], plant: str, duty: Duty | None = None
    ) -> None:
        self._duty = duty
        self.is_behind = False  # more readings wait than one claim takes
        self._store = store
        self._now = now
        self._advance_rule = ignore_rollover if plant == "ignore-rollover" else register_advance
        self._ports: dict[int, Ports] = {}
        self._derives_at_s = 0.0
        self._began_s = time.monotonic()
        self._fetched: list[tuple[int, int]] = []  # how far each job has come
        self._fetched_at_s = self._began_s
        self._delivers_at_s = 0.0
        self._watches_at_s = 0.0
        self._ends_at_s = 0.0
        self._proposes_at_s = 0.0
        self._judges_at_s = time.monotonic() + JUDGE_FIRST_S
        self._retains_at_s = self._judges_at_s
        self._looked_at: datetime | None = None
        self._looked_back_date: date | None = None
        self._services = Services(now, data_folder(), store)
        self._retaining = Services(now, data_folder(), open_bulk_store())
        self._sealer = Sealer(data_folder())
        self._findings = WorkerFindings()

    def work(self) -> bool:
        """Do what waits; whether there was anything."""
        tasks = (
            ("field reads", self._deliver),
            ("gaps", self._look_for_gaps),
            ("periods", self._judge_periods),
            ("backups", self._watch_backups),
            ("fetches", self._end_silent_fetches),
            ("rebills", self._propose),
        )
        found = sum(self._as_duty(what, task) for what, task in tasks)
        return found + self._try("pipeline", self._derive, ()) > 0

    def let_go(self) -> int:
        """Let approved commands go; in a lane of its own, since people wait for them."""
        return self._as_duty("commands", self._let_go)

    def seal(self, duty: Duty) -> int:
        """Sign the heads of the audit chains that grew, if that is this process's duty."""
        return duty.do(partial(self._try, "audit", lambda: self._sealer.seal(self._now())))

    def retain(self) -> int:
        """Let one month that is older than anybody wants go; in a lane of its own, and only at leisure."""
        if self.is_behind or time.monotonic() < self._retains_at_s:
            return 0
        count = self._as_duty("retention", self._retain)
        if not count:
            self._retains_at_s = time.monotonic() + RETAIN_PERIOD_S
        return count

    def _as_duty(self, what: str, task: Callable[[], int]) -> int:
        told = () if what in _BY_TENANT else None
        work = partial(self._try, what, task, told)
        return work() if self._duty is None else self._duty.do(work)

    def _deliver(self) -> int:
        """Deliver what was read off displays while the store could not be reached."""
        if time.monotonic() < self._delivers_at_s:
            return 0
        self._delivers_at_s = time.monotonic() + DELIVER_PERIOD_S
        return deliver_field_reads(services=self._services, now=self._now())

    def _look_for_gaps(self) -> int:
        """Mark what every series should have lately: nobody else notices what never comes."""
        now = self._now()
        if self._looked_at is not None and now - self._looked_at < LOOK_AGAIN:
            return 0
        self._looked_at = now
        return self._each_tenant(
            "gaps",
            lambda tenant_id: look_again(self._store, tenant_id=tenant_id, since=now - LOOK_BACK, now=now),
        )

    def _judge_periods(self) -> int:
        """Judge the stored days now and then: missing days, idle series, long estimation."""
        if time.monotonic() < self._judges_at_s or self._is_fetching():
            return 0
        self._judges_at_s = time.monotonic() + JUDGE_PERIOD_S
        now, rule_set = self._now(), RuleSet()
        day_count = LATELY_DAYS if self._looked_back_date == now.date() else LOOK_BACK_DAYS

        def judge(tenant_id: int) -> int:
            judge_periods(self._store, tenant_id=tenant_id, now=self._now(), rule_set=rule_set)
            judge_instants(self._store, tenant_id=tenant_id, now=now, rule_set=rule_set, day_count=day_count)
            return judge_accuracy(self._store, tenant_id=tenant_id, now=self._now())

        self._each_tenant("periods", judge)
        self._looked_back_date = now.date()
        return 0

    def _watch_backups(self) -> int:
        """Tell when the newest backup, or the newest one that proved itself, is too old."""
        if time.monotonic() >= self._watches_at_s:
            self._watches_at_s = time.monotonic() + WATCH_PERIOD_S
            watch_backups(self._services.data_folder, self._now())
        return 0

    def _end_silent_fetches(self) -> int:
        """End the fetches of head-ends that are gone: nobody else would."""
        if time.monotonic() >= self._ends_at_s:
            self._ends_at_s = time.monotonic() + DERIVE_PERIOD_S
            end_silent_fetches(now=self._now())
        return 0

    def _propose(self) -> int:
        """Compare bills whose values changed with the values of now."""
        if time.monotonic() < self._proposes_at_s:
            return 0
        count = propose_rebills(services=self._services, now=self._now())
        self._proposes_at_s = time.monotonic() + (0.0 if count else DERIVE_PERIOD_S)
        return count

    def _retain(self) -> int:
        return keep_retention(services=self._retaining, now=self._now())

    def _let_go(self) -> int:
        return let_approved_go(now=self._now())

    def _derive(self) -> int:
        if time.monotonic() < self._derives_at_s:
            return 0
        self._derives_at_s = time.monotonic() + DERIVE_PERIOD_S
        if self._is_fetching():
            return 0
        count = self._each_tenant("pipeline", self._derive_tenant)
        self.is_behind = not self._derives_at_s
        return count

    def _derive_tenant(self, tenant_id: int) -> int:
        if tenant_id not in self._ports:
            self._ports[tenant_id] = pipeline_ports(self._store, tenant_id, self._now)
        report = run_once(self._ports[tenant_id], self._now(), advance_rule=self._advance_rule)
        if report.window_count >= CLAIM_COUNT:
            self._derives_at_s = 0.0  # there is more
        for failure in report.failures:
            seen = {"series_id": failure.series_id, "code": failure.code, "exc_info": failure.error}
            log.error("pipeline.failed", tenant_id=tenant_id, **seen)
        if report.run_id is not None:
            keep_failed(tenant_id, report.failures, self._now())
        return report.window_count

    def _is_fetching(self) -> bool:
        """Whether memories are being fetched: what they hold would be estimated now and corrected later."""
        running = Job.objects.filter(kind=FETCH, state=Job.State.RUNNING).order_by("id")
        fetched, now_s = list(running.values_list("id", "done_count")), time.monotonic()
        if fetched != self._fetched:
            self._fetched, self._fetched_at_s = fetched, now_s
        if not fetched or now_s - self._fetched_at_s > FETCH_STILL_S:
            return False
        return now_s - self._began_s < FETCH_WAIT_MAX_S

    def _each_tenant(self, what: str, work: Callable[[int], int]) -> int:
        """Work for one organisation after another: what fails for one stops no other."""
        tenant_ids = list(Tenant.objects.order_by("id").values_list("id", flat=True))
        return sum(self._try(what, partial(work, tenant_id), (tenant_id,)) for tenant_id in tenant_ids)

    def _try(self, what: str, work: Callable[[], int], told: tuple[int, ...] | None = None) -> int:
        """Return what `work` does, 0 where it fails: the next pass tries again.

        `told`: the organisations that learn of a failure, None for all.
        """
        code = ""
        try:
            return work()
        except WattkeeperError as error:
            code = "" if is_passing(error) else error.code
            seen = error.params | {"what": what, "code": error.code, "told": told}
            if error.code in LEASES_LOST:
                log.warning("worker.lease-lost", **seen)
            else:
                log.error("worker.failed", **seen)
        except Exception as error:
            code = "" if is_passing(error) else type(error).__name__
            log.exception("worker.failed", what=what, code=type(error).__name__, told=told)
        finally:
            self._findings.keep(what, told, code, self._now())
        return 0
