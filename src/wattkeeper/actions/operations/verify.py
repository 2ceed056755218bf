"""Recount and reconcile everything: say what is proved, what is wrong and where, what could not be proved."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path

from wattkeeper.actions.operations.audit_heads import is_key_lost, seal_heads
from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.progress import Progress, unwatched
from wattkeeper.actions.operations.told_runs import ToldRuns
from wattkeeper.actions.operations.verify_bills import check_bills
from wattkeeper.actions.operations.verify_days import check_balance, check_roll_ups
from wattkeeper.actions.operations.verify_field_reads import check_field_reads
from wattkeeper.actions.operations.verify_latest import check_latest
from wattkeeper.actions.operations.verify_rates import check_rates
from wattkeeper.actions.operations.verify_records import (
    check_archive,
    check_audit,
    check_spool,
)
from wattkeeper.actions.operations.verify_runs import check_runs
from wattkeeper.actions.operations.verify_scope import (
    Scope,
    away_spans,
    count_series,
    known_owners,
    make_scope,
)
from wattkeeper.actions.operations.verify_tariffs import check_tariffs
from wattkeeper.actions.operations.verify_values import check_values
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.billing.models import Bill
from wattkeeper.data.registry.models import Tenant
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.archive import MONTHLY, away_months
from wattkeeper.store.archive_lock import archive_lock
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.verify import Check, Examine, OnDone, run_check
from wattkeeper.store.verify_store import store_checks

PortsOf = Callable[[int], Ports]


def verify(
    *,
    services: Services,
    now: datetime,
    ports_of: PortsOf,
    sample_count: int | None = None,
    on_progress: Progress = unwatched,
) -> Iterator[Check]:
    """
    Yield every check as it is done; with `sample_count` only as many series of each tenant are derived again.

    `on_progress` is told the name of the check at work. No month leaves or comes back meanwhile. Leaves one
    thing behind: a signed head of each audit chain, if all of them hold.

    :raises WattkeeperError: ``store.not-running``
    """
    store = services.store
    if not isinstance(store, HttpReadingStore):
        raise WattkeeperError("store.not-running", is_permanent=False)
    with archive_lock(Places.of(services.data_folder).archive, is_shared=True):
        yield from _verify(store, services, now, ports_of, sample_count, on_progress)


def _verify(
    store: HttpReadingStore,
    services: Services,
    now: datetime,
    ports_of: PortsOf,
    sample_count: int | None,
    on_progress: Progress,
) -> Iterator[Check]:
    data_folder = services.data_folder
    places = Places.of(data_folder)
    tenant_ids = list(Tenant.objects.order_by("id").values_list("id", flat=True))
    away = {table: away_months(places.archive, [table]) for table in MONTHLY}
    series, sampled = (count_series(tenant_ids, count) for count in (None, sample_count))

    def over(
        examine: Callable[[Scope, Check], None], of_count: int, sample_count: int | None = None
    ) -> Examine:
        def examine_all(check: Check, on_done: OnDone) -> None:
            for scope in _scopes(store, tenant_ids, now, places.archive, sample_count, on_done, of_count):
                examine(scope, check)
                scope.tell_limits(check)

        return examine_all

    checks: Iterable[tuple[str, Examine]] = (
        *store_checks(
            store,
            away,
            now_s=lambda: to_seconds(services.now().replace(microsecond=0)),
            runs=ToldRuns(places.archive),
            known_owners=known_owners,
        ),
        ("values.runs", lambda check, _: check_runs(check)),
        (
            "values.derived",
            over(lambda scope, check: check_values(scope, check, ports_of), sampled, sample_count),
        ),
        ("values.registers", over(check_balance, sampled, sample_count)),
        ("values.roll-ups", over(check_roll_ups, series)),
        ("values.rates", over(lambda scope, check: check_rates(scope, check, ports_of), series)),
        ("values.latest", lambda check, _: check_latest(check, store, away_spans(places.archive))),
        ("values.field-reads", over(check_field_reads, len(tenant_ids))),
        ("tariffs", over(check_tariffs, len(tenant_ids))),
        ("bills", over(check_bills, Bill.objects.filter(tenant_id__in=tenant_ids).count())),
        ("audit", lambda check, on_done: check_audit(check, tenant_ids, data_folder, on_done)),
        ("spool", lambda check, _: check_spool(check, places.spool)),
        ("archive", lambda check, on_done: check_archive(check, store, places.archive, on_done)),
    )
    is_audit_whole = False
    for name, examine in checks:
        check = run_check(name, examine, on_progress)
        is_audit_whole |= name == "audit" and not check.faults
        yield check
    if is_audit_whole and not is_key_lost(data_folder):
        seal_heads(data_folder, now)


def _scopes(
    store: HttpReadingStore,
    tenant_ids: Iterable[int],
    now: datetime,
    archive: Path,
    sample_count: int | None,
    on_done: OnDone,
    of_count: int,
) -> Iterator[Scope]:
    """Yield the scope of each tenant as it is now, and count what is done of all."""
    done_count = 0

    def add(more_count: int) -> None:
        nonlocal done_count
        done_count += more_count
        on_done(done_count, of_count)

    for tenant_id in tenant_ids:
        yield make_scope(store, tenant_id, now, archive, sample_count=sample_count, on_done=add)
