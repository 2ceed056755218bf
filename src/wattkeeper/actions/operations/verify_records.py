"""The audit chains with their signed heads, the spool's rows, and the archive's files."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from wattkeeper.actions.operations.archive_records import (
    ARCHIVED,
    DESTROYED,
    REMOVED,
    known_as,
    known_months,
    last_done,
)
from wattkeeper.actions.operations.audit_heads import prove_chain
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.chain import SYSTEM_TENANT_ID
from wattkeeper.data.audit.walk import AuditFault
from wattkeeper.headend.spool_check import check_rows
from wattkeeper.store.archive import (
    find_lost,
    is_removed,
    is_there_too,
    list_destroyed,
    list_manifests,
    miscounted,
    verify_files,
)
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.verify import Check, OnDone, instant


def check_audit(check: Check, tenant_ids: Iterable[int], data_folder: Path, on_done: OnDone) -> None:
    """Every record follows from the one before; each signed head, of both places, is of a record there is."""
    is_any = False
    chains = sorted({SYSTEM_TENANT_ID, *tenant_ids})
    for index, tenant_id in enumerate(chains):
        on_done(index, len(chains))
        proof = prove_chain(data_folder, tenant_id)
        is_any = is_any or bool(proof.heads_count)
        check.examined_count += proof.records_count
        for fault in proof.faults:
            _tell(check, tenant_id, fault)
    if not is_any:
        check.cannot("verify.audit-no-head")


def _tell(check: Check, tenant_id: int, fault: AuditFault) -> None:
    first, last = fault.first_sequence, fault.last_sequence
    if fault.kind in {"cut", "heads-cut"}:
        check.fault("verify.audit-cut", tenant_id=tenant_id, sequence=last, newest=first - 1)
    elif fault.kind == "copy-cut":
        check.fault("verify.audit-copy-cut", tenant_id=tenant_id, sequence=last, newest=first - 1)
    elif fault.kind.endswith("-forged"):
        check.fault("verify.audit-head-forged", tenant_id=tenant_id, sequence=last, kind=fault.kind)
    else:
        check.fault("verify.audit-broken", tenant_id=tenant_id, sequence=first, last=last, kind=fault.kind)


def check_spool(check: Check, folder: Path) -> None:
    """Every batch that waits in the spool has its checksum; nothing was set aside as damaged."""
    for path in sorted(folder.rglob("segment-*.sqlite")):  # a head-end of its own has a folder of its own
        name = str(path.relative_to(folder))
        try:
            for row_id, is_whole in check_rows(path):
                check.examined_count += 1
                if not is_whole:
                    check.fault("verify.spool-row", file=name, row=row_id)
        except WattkeeperError as error:
            if path.exists():  # else all of it was delivered meanwhile
                check.fault("verify.spool-segment", file=name, reason=error.code)
    for path in sorted((*folder.rglob("dead-*"), *folder.rglob("damaged-*"))):
        check.fault("verify.spool-quarantined", file=str(path.relative_to(folder)))


def check_archive(check: Check, store: HttpReadingStore, folder: Path, on_done: OnDone) -> None:
    """Every file of the archive is the one that was written, and holds what its manifest and the audit say;
    of a month that is back nothing is lost.

    What was destroyed is told; somebody wrote down that it was.
    """
    _check_destroyed(check, folder)
    known = known_months(ARCHIVED) | known_months(REMOVED)
    manifests = list_manifests(folder)
    places = {known_as(manifest)[:2] for manifest in (*manifests, *list_destroyed(folder))}
    for (table, month), what in sorted(last_done().items()):
        if what != DESTROYED and (table, month) not in places:
            check.fault("verify.archive-lost", month=month, table=table)
    for index, manifest in enumerate(manifests):
        on_done(index, len(manifests))
        check.examined_count += 1
        place = {"month": manifest.month, "table": manifest.table}
        damaged = verify_files(folder, manifest)
        if known_as(manifest) not in known:
            is_other = any(known_as(manifest)[:2] == other[:2] for other in known)
            (check.fault if is_other else check.cannot)("verify.archive-unrecorded", **place)
        for name in damaged:
            check.fault("verify.archive-damaged", file=name, **place)
        if damaged:
            continue
        for name, told, held in miscounted(folder, manifest):
            check.fault("verify.archive-miscounted", figure=name, told=told, held=held, **place)
        if is_removed(folder, manifest):
            if is_there_too(store, manifest):
                check.fault("verify.archive-not-away", **place)
            continue
        for row in find_lost(store, folder, manifest):
            first = instant(row.pop("first_at_s"))
            check.fault("verify.archive-differs", first=first, **row, **place)


def _check_destroyed(check: Check, folder: Path) -> None:
    known = known_months(DESTROYED)
    destroyed = list_destroyed(folder)
    for table, group in groupby(destroyed, key=lambda manifest: manifest.table):
        manifests = list(group)
        check.examined_count += len(manifests)
        for manifest in manifests:
            if known_as(manifest) not in known:
                check.fault("verify.destroyed-unrecorded", month=manifest.month, table=table)
        check.cannot(
            "verify.destroyed",
            table=table,
            months=len({manifest.month for manifest in manifests}),
            first=manifests[0].month,
            last=manifests[-1].month,
            rows=sum(manifest.rows_count for manifest in manifests),
        )
