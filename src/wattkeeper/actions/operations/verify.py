"""Recount and reconcile everything: say what is proved, what is wrong and where, what could not be proved."""

from collections.abc import Callable, Iterator
from datetime import datetime

from wattkeeper.actions.operations.audit_heads import is_key_lost, seal_heads
from wattkeeper.actions.operations.places import Places
from wattkeeper.actions.operations.verify_bills import check_bills
from wattkeeper.actions.operations.verify_days import check_balance, check_roll_ups
from wattkeeper.actions.operations.verify_latest import check_latest
from wattkeeper.actions.operations.verify_records import (
    check_archive,
    check_audit,
    check_spool,
)
from wattkeeper.actions.operations.verify_scope import Scope, make_scope, written_counts
from wattkeeper.actions.operations.verify_values import check_values
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.data.collection.models import Run
from wattkeeper.data.registry.models import Tenant
from wattkeeper.pipeline.ports import Ports
from wattkeeper.store.archive import horizon_s
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.verify import Check, instant, run_check, verify_store

PortsOf = Callable[[int], Ports]


def verify(
    *,
    services: Services,
    now: datetime,
    ports_of: PortsOf,
    sample_count: int | None = None,
) -> Iterator[Check]:
    """
    Yield every check as it is done; with `sample_count` only as many series of each tenant are derived again.

    Leaves one thing behind: a signed head of each audit chain, if all of them hold.

    :raises WattkeeperError: ``store.not-running``
    """
    store = services.store
    if not isinstance(store, HttpReadingStore):
        raise WattkeeperError("store.not-running", is_permanent=False)
    places = Places.of(services.data_folder)
    tenant_ids = list(Tenant.objects.order_by("id").values_list("id", flat=True))
    runs = written_counts(tenant_ids, places.archive)
    newest_run_id = Run.objects.order_by("-id").values_list("id", flat=True).first() or 0
    now_s, archived_to_s = to_seconds(now.replace(microsecond=0)), horizon_s(places.archive)
    yield from verify_store(store, runs, now_s=now_s, newest_run_id=newest_run_id)

    def scopes(count: int | None) -> Iterator[Scope]:
        for tenant_id in tenant_ids:
            yield make_scope(store, tenant_id, now, places.archive, sample_count=count)

    yield _over(
        "values.derived", scopes, sample_count, lambda scope, check: check_values(scope, check, ports_of)
    )
    yield _over("values.registers", scopes, sample_count, check_balance)
    yield _over("values.roll-ups", scopes, None, check_roll_ups)
    yield run_check("values.latest", lambda check: check_latest(check, store, archived_to_s))
    yield _over("bills", scopes, None, check_bills)
    audit = run_check("audit", lambda check: check_audit(check, tenant_ids, services.data_folder))
    yield audit
    yield run_check("spool", lambda check: check_spool(check, places.spool))
    yield run_check("archive", lambda check: check_archive(check, places.archive))
    if not audit.faults and not is_key_lost(services.data_folder):
        seal_heads(services.data_folder, now)


def _over(
    name: str,
    scopes: Callable[[int | None], Iterator[Scope]],
    sample_count: int | None,
    examine: Callable[[Scope, Check], None],
) -> Check:
    def examine_all(check: Check) -> None:
        for scope in scopes(sample_count):
            examine(scope, check)
            if scope.archived_to_s:
                check.cannot("verify.archived-before", date=instant(scope.archived_to_s))
            if scope.is_sample:
                place = {"tenant_id": scope.tenant_id, "of": scope.all_count, "found": len(scope.series_ids)}
                check.cannot("verify.sampled", **place)

    return run_check(name, examine_all)
